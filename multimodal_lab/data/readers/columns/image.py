"""Columns of images: PNG, JPEG, TIFF, WebP, BMP, GIF and PPM, see `readers/images.py`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from multimodal_lab.data.readers import images, to_rgb
from multimodal_lab.data.readers.columns.medium import WHOLE, Decoded, Medium, Opening, Piece
from multimodal_lab.data.readers.folder import PICTURES
from multimodal_lab.data.readers.header_memory import HeaderMemory
from multimodal_lab.data.readers.images import Alpha, Colour, Header, bands_of
from multimodal_lab.data.source import DataError
from multimodal_lab.types import Stream


class ImageColumns(Medium):
    """colour: of all columns, or {column: colour}; each column has a bit depth of its own. alpha: see `Images`."""

    key: ClassVar[str] = "images"
    called: ClassVar[str] = "image"
    suffixes: ClassVar[tuple[str, ...]] = images.SUFFIXES
    named: ClassVar[frozenset[str]] = frozenset(PICTURES)
    kind: ClassVar[str] = "image"

    def __init__(self, columns: Sequence[str] | None, colour: Colour | dict[str, Colour], alpha: Alpha) -> None:
        super().__init__(columns)
        self.colour, self.alpha = colour, alpha

    @property
    def identity(self) -> Any:
        """The choices that change values."""
        return (self.columns, self.colour, self.alpha)

    @property
    def by_column(self) -> dict[str, Any]:
        """The colour."""
        return {"colour": self.colour}

    def prepare(self, opening: Opening) -> None:
        """The bands are known by the colour alone."""
        super().prepare(opening)
        colour = self.colour
        self.colours: dict[str, Colour] = {
            c: colour.get(c, "rgb") if isinstance(colour, dict) else colour for c in self.columns
        }
        self.bands = {c: bands_of(own) for c, own in self.colours.items()}

    def open(self, column: str, paths: Sequence[str]) -> list[str]:
        """All images of a column have one bit depth."""
        of, colour, alpha = self.opening, self.colours[column], self.alpha

        def read(file: Path, path: str) -> Header:
            return images.read_header(file, path, colour, alpha, of.limits)

        memory = HeaderMemory(of.root, (colour, alpha, of.limits), paths, read, _written, _parsed)
        found = self.headers(column, paths, memory)
        if not isinstance(found, list):
            return [f"{column}: {found.note()}"]
        bits = {h.bits: path for path, h in reversed([*zip(paths, found)]) if isinstance(h, Header)}
        if len(bits) > 1:
            shown = " and ".join(f"of {b} ({name})" for b, name in sorted(bits.items()))
            raise DataError(f"{of.file}: {column}: images of two bit depths, {shown}; expected one")
        return to_rgb.notes(column, dict(zip(paths, found)), colour == "to_rgb")

    def read(self, field: str, path: str, stream: Stream, piece: Piece = WHOLE) -> Decoded:
        """(C, H, W) of an image, as stored."""
        of = self.opening
        x = images.decode(of.place(path), path, self.colours[field], self.alpha, of.limits)[0]
        return Decoded(x, None, float(np.iinfo(x.dtype).max))


def _written(header: Header) -> str:
    """As words, which half a million of make no lists of JSON; nothing of one with a nodata value."""
    h = header
    words = (h.height, h.width, int(h.grey), int(h.alpha), h.bits, h.orientation, h.mode)
    return "" if h.nodata is not None else " ".join(map(str, words))


def _parsed(text: str) -> Header | None:
    """What `_written` wrote; None of anything else."""
    *numbers, mode = text.split(" ")
    if len(numbers) != 6 or not all(word.isdecimal() for word in numbers):
        return None
    height, width, grey, alpha, bits, orientation = map(int, numbers)
    return Header(height, width, bool(grey), bool(alpha), bits, None, mode, orientation)
