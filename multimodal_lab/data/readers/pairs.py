"""Reader of image–text pairs, and of images that belong together, from a table or from folders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from multimodal_lab.data import kinds
from multimodal_lab.data.readers.folder import existing, inside, some
from multimodal_lab.data.readers.images import SUFFIXES, Colour, Header, bands_of, decode, read_header
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.pair_rows import (
    Rows,
    columns_of_images,
    columns_of_texts,
    field_of,
    from_folders,
    from_table,
    name_rows,
    the_table,
)
from multimodal_lab.data.readers.tables import doubts, frame
from multimodal_lab.data.source import DataError, Raw
from multimodal_lab.data.split.same_image import group
from multimodal_lab.data.streams.bands import indices
from multimodal_lab.data.streams.labels import COMPLETE
from multimodal_lab.types import Band, Stream


class Pairs:
    """The rows of a table below `root`: columns of image paths, columns of text, and labels.

    file: JSONL, CSV, Parquet or COCO's JSON; None takes the only one, or that of a usual name. folders: {column: folder}
    instead of a file: their files are joined by name without suffix. images: columns of paths, relative to `root` and
    inside it (written as on another system where that is unique); None: those that name pictures. texts: columns of one
    text or a list of texts; None: those of a usual name. A stream names its column by `field`; without it takes the one
    of its own name, or the only one. id: the column of names; None: `id`, else the image; rows that are captions of one
    image may have the same. labels: columns that must be there. missing: whether a row may lack an image or a text (then
    that stream is missing) or a label. colour: of all image columns, or {column: colour}; each has a bit depth of its
    own. alpha: see `Images`. together: the column of rows that share an image, see `group`; None if no image repeats.
    items: rows of one path hold one image.
    field_bands: {column of images: its bands}; `bands` has those of all. text_columns: those of texts. Opening reads
    every row and image header and raises `DataError` naming the row.
    """

    def __init__(
        self,
        root: str,
        *,
        file: str | None = None,
        folders: dict[str, str] | None = None,
        images: list[str] | None = None,
        texts: list[str] | None = None,
        id: str | None = None,
        labels: list[str] | None = None,
        missing: Literal["refuse", "keep"] = "refuse",
        na_values: list[str] | None = None,
        colour: Colour | dict[str, Colour] = "rgb",
        alpha: Literal["refuse", "drop", "white", "black"] = "refuse",
        limits: Limits | None = None,
        on_error: Literal["raise", "skip", "substitute"] = "raise",
    ) -> None:
        self.root = existing(root)
        self.alpha: Literal["refuse", "drop", "white", "black"] = alpha
        self.missing, self.on_error = missing, on_error
        self.limits = limits or Limits()
        if folders:
            self.file = f"{some(list(folders.values()))} of {root}"
            rows, *columns, self.notes = from_folders(self.root, folders, SUFFIXES)
            images, texts = images or columns[0], texts or columns[1]
        else:
            self.file = the_table(self.root, file)
            rows, self.notes = from_table(self.root, self.file, self.limits, na_values or ())
        self.limits.count(self.file, len(rows))
        self.images = columns_of_images(rows, self.file) if images is None else images
        self.items = {column: column for column in self.images}
        self.text_columns = columns_of_texts(rows) if texts is None else texts
        if images is None or texts is None:
            said = f"columns of images: {some(self.images)}; of texts: {some(self.text_columns) or 'none'}"
            self.notes.append(f"{self.file}: {said}")
        self.field_bands = self._colours(colour)
        self.bands: tuple[Band, ...] = tuple(dict.fromkeys(b for own in self.field_bands.values() for b in own))
        self.identity = (self.images, self.text_columns, colour, alpha)
        needed = [*self.images, *self.text_columns, *(labels or [])]
        self.id, told = name_rows(rows, id, self.images, self.file)
        self._check_all(rows, [self.id, *needed])
        made, self.together = group(self._table(rows), self.images)
        self.samples: pd.DataFrame = made
        own = {"id", "path", self.id, *self.images, *self.text_columns, self.together}
        learnt = [c for c in made.columns if c not in own]
        self.notes += [*told, *doubts(made, learnt, self.file)]
        if missing == "refuse":
            self.samples.attrs[COMPLETE] = dict.fromkeys(learnt, "data.source.missing")

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """Images (C, H, W), texts as str or list of str; None where the row has none."""
        inputs: dict[str, Any] = {}
        images: dict[str, np.ndarray | None] = {}
        scales: dict[str, float] = {}
        for stream in streams:
            field = self._field(stream)
            value = self.samples[field].iloc[index]
            if kinds.of(stream).stored == "column":
                inputs[stream.name] = value if isinstance(value, str | list) else None
                continue
            if field not in images:
                images[field] = self._image(field, value)
            image = images[field]
            inputs[stream.name] = None if image is None else image[indices(stream, self.field_bands[field])]
            scales[stream.name] = 1.0 if image is None else float(np.iinfo(image.dtype).max)
        alike = set(scales.values())
        return Raw(inputs, None, scales if len(alike) > 1 else alike.pop() if alike else 1.0)

    def _colours(self, colour: Colour | dict[str, Colour]) -> dict[str, tuple[Band, ...]]:
        """The bands of each image column; also sets `colours`."""
        if isinstance(colour, dict) and (wrong := [c for c in colour if c not in self.images]):
            raise DataError(f"data.source.colour: no column of images {wrong[0]!r}; there are {', '.join(self.images)}")
        self.colours: dict[str, Colour] = {
            c: colour.get(c, "rgb") if isinstance(colour, dict) else colour for c in self.images
        }
        return {c: bands_of(own) for c, own in self.colours.items()}

    def _image(self, field: str, value: Any) -> np.ndarray | None:
        if not isinstance(value, str) or not value:
            return None
        return decode(inside(self.root, value, self.file), value, self.colours[field], self.alpha, self.limits)[0]

    def _field(self, stream: Stream) -> str:
        return field_of(stream, self.images, self.text_columns, self.file, list(self.samples))

    def _check_all(self, rows: Rows, needed: Sequence[str]) -> None:
        """Every row's columns, and the headers of its images, which have one bit depth a column."""
        bits: dict[str, dict[int, str]] = {}
        renamed: list[tuple[str, str]] = []
        for number, row in enumerate(rows, 1):
            for column, header in self._check(number, row, needed, renamed).items():
                bits.setdefault(column, {}).setdefault(header.bits, row[column])
        for column, found in bits.items():
            if len(found) > 1:
                shown = " and ".join(f"of {b} ({name})" for b, name in sorted(found.items()))
                raise DataError(f"{self.file}: {column}: images of two bit depths, {shown}; expected one")
        if renamed:
            written, path = renamed[0]
            self.notes.append(
                f"{self.file}: {len(renamed)} images have a name written in another way, such as {written!r} for {path}"
            )

    def _check(
        self, number: int, row: dict[str, Any], needed: Sequence[str], renamed: list[tuple[str, str]]
    ) -> dict[str, Header]:
        """One row's columns and the headers of its images; paths become those of the files."""
        where = f"{self.file}: row {number}"
        for column in needed:
            if row.get(column) in (None, "", []) and (self.missing == "refuse" or column == self.id):
                raise DataError(
                    f"{where} has no {column!r}; it has {some(list(row))} (data.source.missing=keep allows gaps)"
                )
        for column in self.text_columns:
            texts = row.get(column) if isinstance(row.get(column), list) else [row.get(column) or ""]
            if not all(isinstance(t, str) for t in texts or []):
                raise DataError(f"{where}: {column!r} is {row[column]!r}, expected a text or a list of texts")
        found: dict[str, Header] = {}
        for column in self.images:
            file = row.get(column)
            if file in (None, ""):
                continue
            try:
                path = inside(self.root, file, where)
                named = path.relative_to(self.root).as_posix()
                if named != file:
                    renamed += [(str(file), named)] if file not in (f"./{named}",) else []
                    row[column] = named
                found[column] = read_header(path, named, self.colours[column], self.alpha, self.limits)
            except DataError:  # told again when the row is read
                if self.on_error == "raise":
                    raise
        return found

    def _table(self, rows: Rows) -> pd.DataFrame:
        for row in rows:
            row[self.id] = str(row[self.id])
        made = frame(rows)
        for column in [*self.images, *self.text_columns]:
            if column not in made:
                raise DataError(f"{self.file}: no row has a column {column!r}; there are {some(list(made.columns))}")
        clash = [c for c in ("id", "path") if c in made and c != self.id and c not in self.images]
        if clash:
            raise DataError(f"{self.file}: has a column {clash[0]!r}, which is the reader's own; rename it")
        if "path" not in made:
            made["path"] = made[self.images[0]] if self.images else self.file
        return made if self.id == "id" else made.assign(id=made[self.id])
