"""Rows of image files and of texts that belong together: what every reader of captions does with its table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from multimodal_lab.data import kinds
from multimodal_lab.data.readers import to_rgb
from multimodal_lab.data.readers.folder import inside, some
from multimodal_lab.data.readers.gaps import Gaps, Missing
from multimodal_lab.data.readers.header_memory import HeaderMemory
from multimodal_lab.data.readers.headers import Verify, headers
from multimodal_lab.data.readers.images import Alpha, Colour, Header, bands_of, decode
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.pair_rows import Rows, columns_of_images, columns_of_texts, field_of, name_rows
from multimodal_lab.data.readers.places import Places
from multimodal_lab.data.readers.recent import Recent
from multimodal_lab.data.readers.tables import doubts, frame
from multimodal_lab.data.source import DataError, Raw
from multimodal_lab.data.split.same_image import group
from multimodal_lab.data.streams.bands import indices
from multimodal_lab.data.streams.labels import COMPLETE
from multimodal_lab.types import Band, Stream


class ImageTexts:
    """A table of columns of image paths, columns of text, and labels; a reader fills it and derives from this.

    images, texts: as in `Pairs`; None finds the columns. id: the column of names. needed: columns that must be there beside
    them. missing: what a row without an image, a text or one of `needed` does, see `Gaps`. colour: of all image columns, or
    {column: colour}; each has a bit depth of its own. alpha: see `Images`. on_error, verify: as in `Data`. together: the column
    of rows that share an image, see `group`; None if no image repeats. items: rows of one path hold one image.
    field_bands: {column of images: its bands}; `bands` has those of all. text_columns: those of texts. Opening reads
    every row and image header, those that an earlier start has read from the user's cache, and raises `DataError` naming the
    row or the file, and how many there are of its kind.
    """

    def __init__(
        self,
        root: Path,
        file: str,
        rows: Rows,
        notes: Sequence[str],
        *,
        images: list[str] | None = None,
        texts: list[str] | None = None,
        id: str | None = None,
        needed: Sequence[str] = (),
        missing: Missing = "refuse",
        colour: Colour | dict[str, Colour] = "rgb",
        alpha: Alpha = "refuse",
        limits: Limits | None = None,
        on_error: Literal["raise", "skip", "substitute"] = "raise",
        verify: Verify = "all",
    ) -> None:
        self.root, self.file, self.notes = root, file, list(notes)
        self.alpha, self.missing, self.on_error = alpha, missing, on_error
        self.limits = limits or Limits()
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
        key = id or ("id" if any("id" in row for row in rows) else None)
        rows = self._settled(rows, [*([key] if key else []), *self.images, *self.text_columns, *needed], key)
        for column in self.images:
            self._headers(column, rows, verify)
        self.id, told = name_rows(rows, id, self.images, self.file)
        made, self.together = group(self._table(rows), self.images)
        self._recent = Recent() if self.together else None
        self.samples: pd.DataFrame = made
        own = {"id", "path", self.id, *self.images, *self.text_columns, self.together}
        learnt = [c for c in made.columns if c not in own]
        self.notes += [*told, *doubts(made, learnt, self.file)]
        if missing != "keep":
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
        return (
            self._decoded(field, value)
            if self._recent is None
            else self._recent.get((field, value), partial(self._decoded, field, value))
        )

    def _decoded(self, field: str, path: str) -> np.ndarray:
        return decode(inside(self.root, path, self.file), path, self.colours[field], self.alpha, self.limits)[0]

    def _field(self, stream: Stream) -> str:
        return field_of(stream, self.images, self.text_columns, self.file, list(self.samples))

    def _settled(self, rows: Rows, needed: Sequence[str], key: str | None) -> Rows:
        """The rows with their gaps settled by `missing`; names of images become paths of files."""
        gaps, places, renamed = Gaps(self.file, self.missing), Places(self.root), list[tuple[str, str]]()
        for number, row in enumerate(rows, 1):
            gaps.texts(number, row, self.text_columns)
            gaps.columns(number, row, needed, key)
            renamed += gaps.files(number, row, self.images, places, self.on_error == "raise")
        taken, notes = gaps.settle(rows)
        self.notes += notes
        if renamed:
            written, path = renamed[0]
            self.notes.append(
                f"{self.file}: {len(renamed)} images have a name written in another way, such as {written!r} for {path}"
            )
        return taken

    def _headers(self, column: str, rows: Rows, verify: Verify) -> None:
        """Read each image's header once; all of a column have one bit depth."""
        paths = list(dict.fromkeys(path for row in rows if isinstance(path := row.get(column), str) and path))
        memory = HeaderMemory(self.root, self.colours[column], self.alpha, self.limits, paths)
        try:
            found = headers(paths, memory.read, self.on_error, verify if paths else "all")
        finally:
            memory.save()
        if not isinstance(found, list):
            self.notes.append(f"{column}: {found.note()}")
            return
        bits = {h.bits: path for path, h in reversed([*zip(paths, found)]) if isinstance(h, Header)}
        if len(bits) > 1:
            shown = " and ".join(f"of {b} ({name})" for b, name in sorted(bits.items()))
            raise DataError(f"{self.file}: {column}: images of two bit depths, {shown}; expected one")
        self.notes += to_rgb.notes(column, dict(zip(paths, found)), self.colours[column] == "to_rgb")

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
