"""Images of other kinds of pixels as RGB: grey thrice, palettes, CMYK and black and white converted, and what is told of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from PIL import Image

from multimodal_lab.data.source import DataError

# Pillow's modes that `to_rgb` takes beside those of grey and colour: 1 bit, inks, JPEG's own, a palette with alpha.
OTHER = ("1", "CMYK", "YCbCr", "PA")
CALLED = {"1": "black and white", "L": "grey", "LA": "grey", "I;16": "grey", "I;16B": "grey", "P": "with a palette",
          "PA": "with a palette"}  # fmt: skip


class Stored(Protocol):
    """What a header tells of how a picture is stored: Pillow's mode, and the EXIF orientation, 1 where it is upright."""

    @property
    def mode(self) -> str:
        """Such as L or CMYK."""

    @property
    def orientation(self) -> int:
        """From 1 to 8."""


def plain(image: Image.Image) -> Image.Image:
    """An image of one of `OTHER` as L, RGB or RGBA, by Pillow's own conversion; another as it is."""
    if image.mode not in OTHER:
        return image
    see_through = image.mode == "PA" or "transparency" in image.info
    return image.convert("RGBA" if see_through else "L" if image.mode == "1" else "RGB")


def notes(column: str, found: Mapping[str, Stored | DataError], all_rgb: bool) -> list[str]:
    """How many images were made RGB, of which kinds, and how many are turned upright. found: {path: header}."""
    known = {path: header for path, header in found.items() if not isinstance(header, DataError)}
    said = []
    odd = {path: CALLED.get(h.mode, h.mode) for path, h in known.items() if h.mode not in ("RGB", "RGBA")}
    if odd and all_rgb:
        counts = ", ".join(f"{n} {kind}" for kind, n in Counter(odd.values()).most_common())
        said.append(f"{column}: {len(odd)} of {len(found)} images are made RGB: {counts}, such as {next(iter(odd))}")
    turned = [path for path, header in known.items() if header.orientation != 1]
    if turned:
        what = f"{len(turned)} of {len(found)} images are turned upright as their EXIF orientation says"
        said.append(f"{column}: {what}, such as {turned[0]}")
    return said
