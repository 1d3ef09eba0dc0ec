"""Thumbnail sprite sheets as JPEG, hundreds of pictures per image."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from PIL import Image

COLUMNS = 32
PER_SHEET = COLUMNS * COLUMNS
LIMIT = 40_000_000  # bytes of the page that pictures may take
_SIZES, _QUALITIES = (96, 48, 32, 24, 16), (85, 60)  # multiples of 8: a JPEG's blocks then lie in one picture each


@dataclass(frozen=True)
class Sheets:
    """sheets[stream]: data URIs; picture t is tile t % 1024 of sheet t // 1024, tiles of `size` pixels, 32 to a row."""

    size: int
    sheets: dict[str, list[str]]


def sheets(pictures: Mapping[str, np.ndarray], limit: int = LIMIT) -> Sheets | None:
    """pictures[stream] (T, h, w, 3) uint8 as large and as good as the limit allows; None if it allows none."""
    largest = max((images.shape[1] for images in pictures.values()), default=0)
    sizes = [size for size in _SIZES if size <= largest] or _SIZES[-1:]
    for size, quality in product(sizes, _QUALITIES):
        made, taken = {}, 0
        for name, images in pictures.items():
            made[name] = [
                uri(_sheet(images[i : i + PER_SHEET], size), quality) for i in range(0, len(images), PER_SHEET)
            ]
            taken += sum(map(len, made[name]))
            if taken > limit:
                break
        else:
            return Sheets(size, made)
    return None


def _sheet(images: np.ndarray, size: int) -> Image.Image:
    sheet = Image.new("RGB", (COLUMNS * size, -(-len(images) // COLUMNS) * size))
    for i, pixels in enumerate(images):
        tile = Image.fromarray(pixels)
        if tile.size != (size, size):
            tile = tile.resize((size, size), Image.Resampling.LANCZOS)
        sheet.paste(tile, (i % COLUMNS * size, i // COLUMNS * size))
    return sheet


def uri(sheet: Image.Image, quality: int) -> str:
    """A picture as a data URI, a JPEG."""
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=quality, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
