"""Reader of image–text pairs from JSON Lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from multimodal_lab.data import kinds
from multimodal_lab.data.readers.folder import existing, given, inside, some
from multimodal_lab.data.readers.images import Colour, Header, bands_of, decode, read_header
from multimodal_lab.data.readers.labels import frame, read_lines
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.source import DataError, Raw
from multimodal_lab.data.split.same_image import group
from multimodal_lab.data.streams.bands import indices, need_kind
from multimodal_lab.types import Band, Stream


class Pairs:
    """The rows of a JSONL file below `root`: columns of image paths, columns of text, and labels.

    images: columns of paths, relative to `root` and inside it. texts: columns of one text or a list of texts. A stream
    names its column by `field`; an image stream needs none where there is one image column. labels: columns that must
    be there. missing: whether a row may lack an image or a text (then that stream is missing) or a label. colour,
    alpha: see `Images`. together: the column of rows that share an image, see `group`; None if no image
    repeats. Opening reads every row and image header and raises `DataError` naming the line.
    """

    def __init__(
        self,
        root: str,
        *,
        file: str = "index.jsonl",
        images: list[str],
        texts: list[str],
        id: str = "id",
        labels: list[str] | None = None,
        missing: Literal["refuse", "keep"] = "refuse",
        colour: Colour = "rgb",
        alpha: Literal["refuse", "drop", "white", "black"] = "refuse",
        limits: Limits | None = None,
        on_error: Literal["raise", "skip", "substitute"] = "raise",
    ) -> None:
        self.root = existing(root)
        self.file, self.images, self.texts, self.colour = file, images, texts, colour
        self.alpha: Literal["refuse", "drop", "white", "black"] = alpha
        self.identity = (images, texts, colour, alpha)
        self.id, self.missing, self.on_error = id, missing, on_error
        self.limits = limits or Limits()
        self.bands: tuple[Band, ...] = bands_of(colour)
        path = given(self.root, file, "data.source.file")
        self.limits.check(file, itemsize=max(1, path.stat().st_size))
        rows = read_lines(path)
        self.limits.count(file, len(rows))
        needed = [id, *images, *texts, *(labels or [])]
        self._same_bits([h for n, row in enumerate(rows, 1) for h in self._check(n, row, needed)])
        made, self.together = group(self._table(rows), images)
        self.samples: pd.DataFrame = made

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """Images (C, H, W), texts as str or list of str; None where the row has none."""
        inputs: dict[str, Any] = {}
        images: dict[str, np.ndarray | None] = {}
        scale = 1.0
        for stream in streams:
            field = self._field(stream)
            value = self.samples[field].iloc[index]
            if kinds.of(stream).stored == "column":
                inputs[stream.name] = value if isinstance(value, str | list) else None
                continue
            if field not in images:
                images[field] = self._image(value)
            image = images[field]
            inputs[stream.name] = None if image is None else image[indices(stream, self.bands)]
            scale = scale if image is None else float(np.iinfo(image.dtype).max)
        return Raw(inputs, None, scale)

    def _image(self, value: Any) -> np.ndarray | None:
        if not isinstance(value, str) or not value:
            return None
        return decode(inside(self.root, value, self.file), value, self.colour, self.alpha, self.limits)[0]

    def _field(self, stream: Stream) -> str:
        need_kind([stream], ["image", "text"], self.file)
        choices = self.texts if kinds.of(stream).stored == "column" else self.images
        if not stream.field and len(choices) == 1:
            return choices[0]
        if stream.field not in choices:
            expected = f"one of the {stream.kind} columns of {self.file}: {', '.join(choices) or 'there is none'}"
            raise DataError(f"modality.{stream.name}.field: {stream.field or 'none'}, expected {expected}")
        return stream.field

    def _check(self, number: int, row: dict[str, Any], needed: Sequence[str]) -> list[Header]:
        """One row's columns and the headers of its images."""
        where = f"{self.file}: row {number}"
        for column in needed:
            if row.get(column) in (None, "", []) and (self.missing == "refuse" or column == self.id):
                raise DataError(
                    f"{where} has no {column!r}; it has {some(list(row))} (data.source.missing=keep allows gaps)"
                )
        for column in self.texts:
            texts = row.get(column) if isinstance(row.get(column), list) else [row.get(column) or ""]
            if not all(isinstance(t, str) for t in texts or []):
                raise DataError(f"{where}: {column!r} is {row[column]!r}, expected a text or a list of texts")
        files = [row[c] for c in self.images if row.get(c) not in (None, "")]
        found: list[Header] = []
        for file in files:
            try:
                path = inside(self.root, file, where)
                found.append(read_header(path, str(file), self.colour, self.alpha, self.limits))
            except DataError:  # told again when the row is read
                if self.on_error == "raise":
                    raise
        return found

    def _same_bits(self, headers: Sequence[Header]) -> None:
        bits = sorted({h.bits for h in headers})
        if len(bits) > 1:
            raise DataError(f"{self.file}: images of {bits[0]} and of {bits[1]} bits, expected one bit depth")

    def _table(self, rows: list[dict[str, object]]) -> pd.DataFrame:
        for row in rows:
            row[self.id] = str(row[self.id])
        made = frame(rows)
        for column in [*self.images, *self.texts]:
            if column not in made:
                raise DataError(f"{self.file}: no row has a column {column!r}; there are {some(list(made.columns))}")
        twice = made[self.id][made[self.id].duplicated()]
        if len(twice):
            raise DataError(f"{self.file}: {self.id} {some(list(twice.unique()))} stands in more than one row")
        clash = [c for c in ("id", "path") if c in made and c != self.id and c not in self.images]
        if clash:
            raise DataError(f"{self.file}: has a column {clash[0]!r}, which is the reader's own; rename it")
        if "path" not in made:
            made["path"] = made[self.images[0]] if self.images else self.file
        return made if self.id == "id" else made.assign(id=made[self.id])
