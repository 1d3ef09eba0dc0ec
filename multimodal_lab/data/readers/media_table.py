"""Rows of files and texts that belong together: what every reader of captions does with its table."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from multimodal_lab.data import kinds
from multimodal_lab.data.readers.ahead import Ahead, Job
from multimodal_lab.data.readers.cells import Cells
from multimodal_lab.data.readers.columns.image import ImageColumns
from multimodal_lab.data.readers.columns.medium import Decoded, Medium, Opening, require_columns
from multimodal_lab.data.readers.gaps import Gaps, Missing
from multimodal_lab.data.readers.headers import Verify
from multimodal_lab.data.readers.images import Alpha, Colour
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.pair_rows import Rows, columns_of_files, columns_of_texts, field_of, name_rows, no_file
from multimodal_lab.data.readers.pieces import CLIP, ENDS, Pieces, cut, in_clips
from multimodal_lab.data.readers.places import Places
from multimodal_lab.data.readers.recordings import RECORDING
from multimodal_lab.data.readers.tables import doubts, of_rows
from multimodal_lab.data.readers.windows import Windows
from multimodal_lab.data.recent import Recent
from multimodal_lab.data.source import DataError, Raw
from multimodal_lab.data.split.same_image import group
from multimodal_lab.data.streams.bands import indices
from multimodal_lab.data.streams.labels import COMPLETE
from multimodal_lab.data.streams.resize import Resize
from multimodal_lab.text import some
from multimodal_lab.types import Band, Stream


class MediaTable:
    """A table of columns of paths of images, of sounds, …, columns of text, and labels; a reader fills it and derives from this.

    images, texts: as in `Pairs`; None finds the columns. media: columns of files of other sorts, see `Medium`. id: the column of
    names. needed: columns that must be there beside them. missing: what a row without a file, a text or one of `needed` does, see
    `Gaps`. colour: of all image columns, or {column: colour}; each has a bit depth of its own. alpha: see `Images`. pieces:
    {column: [start, end]}, the columns that say in seconds which part of a row's file is its, see `Pieces`. windows: a row is
    a window of the one column of files with a time axis, see `cut`. listed: the paths are those of a listing of the folder, see
    `Opening`. on_error, verify: as in `Data`. together: the column of rows that share a file, see `group`; None if no file
    repeats. items: rows of one path, one piece and clip of it, hold the same. field_bands: {field: its bands}; `bands` has those
    of all. images: all columns of paths; text_columns: those of texts. Opening reads every row and header, those that an earlier
    start has read from the user's cache, and raises `DataError` naming the row or the file, and how many there are of its kind.
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
        media: Sequence[Medium] = (),
        id: str | None = None,
        needed: Sequence[str] = (),
        missing: Missing = "refuse",
        colour: Colour | dict[str, Colour] = "rgb",
        alpha: Alpha = "refuse",
        pieces: dict[str, list[str]] | None = None,
        windows: Windows | None = None,
        listed: bool = False,
        limits: Limits | None = None,
        on_error: Literal["raise", "skip", "substitute"] = "raise",
        verify: Verify = "all",
    ) -> None:
        self.root, self.file, self.notes = root, file, list(notes)
        self.missing, self.on_error = missing, on_error
        self.limits = limits or Limits()
        self.limits.count(self.file, len(rows))
        self.media = [ImageColumns(images, colour, alpha), *media]
        self._find_columns(rows)
        self.text_columns = columns_of_texts(rows) if texts is None else texts
        if images is None or texts is None:
            said = [f"of {m.called}s: {some(m.columns)}" for m in self.media if m.columns]
            said.append(f"of texts: {some(self.text_columns) or 'none'}")
            self.notes.append(f"{self.file}: columns {'; '.join(said)}")
        require_columns(self.media)
        for medium in self.media:
            medium.prepare(Opening(root, file, self.limits, on_error, verify, listed))
        self.pieces = Pieces(pieces or {}, self.images, self.file)
        key = id or ("id" if any("id" in row for row in rows) else None)
        needed = [*([key] if key else []), *self.images, *self.text_columns, *self.pieces.needed, *needed]
        rows = self._settled(rows, needed, key, [] if listed else self.images)
        for medium in self.media:
            for column in medium.columns:
                paths = list(dict.fromkeys(path for row in rows if isinstance(path := row.get(column), str) and path))
                self.notes += medium.open(column, paths)
        self.fields: dict[str, Medium] = {f: m for m in self.media for f in m.fields()}
        self.field_kinds = {f: (kind, m.timed) for m in self.media for f, kind in m.fields().items()}
        self.field_bands = {f: m.bands[f] for f, m in self.fields.items()}
        self.sampled = {f: own for m in self.media for f, own in m.sampled().items()}
        self.bands: tuple[Band, ...] = tuple(dict.fromkeys(b for own in self.field_bands.values() for b in own))
        own = [m.identity for m in self.media[1:] if m.columns]
        self.identity = (self.media[0].columns, self.text_columns, colour, alpha, *own, *self.pieces.identity)
        self.id, told = name_rows(rows, id, self.images, self.file, self._called())
        made = of_rows(rows, self.id, self.images, self.text_columns, self.file)
        made = self.pieces.marked(in_clips(made, max(m.clips for m in self.media), self.file))
        made, self.together = group(made, [self.pieces.item(column) for column in self.images])
        self._recent: Recent[Decoded] | None = Recent() if self.together else None
        self._ahead, self._cells = Ahead(), Cells()
        self.samples: pd.DataFrame = made if windows is None or windows.length is None else self._cut(made, windows)
        self.samples = self.pieces.clips(self.samples, [c for m in self.media if m.clips > 1 for c in m.columns])
        self.items = {f: self.pieces.item(m.column(f), m.clips > 1) for f, m in self.fields.items()}
        if self.pieces.times:
            self.samples.attrs["overlapping"] = RECORDING
        names = {"id", "path", self.id, *self.images, *self.text_columns, self.together, *self.pieces.columns}
        names |= {RECORDING, CLIP, *self.items.values()} if CLIP in self.samples else set()
        learnt = [c for c in self.samples.columns if c not in names]
        self.notes += [*told, *doubts(made, learnt, self.file)]
        if missing != "keep":
            self.samples.attrs[COMPLETE] = dict.fromkeys(learnt, "data.source.missing")

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """Images (C, H, W), sounds (C, T), videos (C, T, H, W), texts as str or list of str; None where the row has none."""
        inputs: dict[str, Any] = {}
        rates: dict[str, float] = {}
        decoded: dict[Hashable, Decoded] = {}
        scales: dict[str, float] = {}
        identities: dict[str, Hashable] = {}
        for stream in streams:
            field = self._field(stream)
            if kinds.of(stream).stored == "column":
                value = self._cells(self.samples, field)[index]
                inputs[stream.name] = value if isinstance(value, str | list) else None
                continue
            wanted = (field, self.fields[field].wanted(stream))
            job = self._job(field, index, stream)
            if wanted not in decoded:
                decoded[wanted] = Decoded(None) if job is None else self._decoded(field, *job)
            found = decoded[wanted]
            x = found.values
            inputs[stream.name] = None if x is None else x[indices(stream, self.field_bands[field])]
            scales[stream.name] = found.full_scale
            if self._recent is not None and job is not None:
                identities[stream.name] = id(self), job[0]  # of two sources in one both may have such a path
            if found.rate is not None:
                rates[stream.name] = found.rate
        alike = set(scales.values())
        scale = scales if len(alike) > 1 else alike.pop() if alike else 1.0
        return Raw(inputs, full_scale=scale, rates=rates, identities=identities)

    def unread(self, streams: Sequence[Stream], columns: Collection[str]) -> list[str]:
        """Those of `notes` that are about a column which is none of these, and which none of these streams is cut from."""
        fields = map(self._field, streams)
        read = {*columns, *(self.fields[f].column(f) if f in self.fields else f for f in fields)}
        return [note for note, column in self._about.items() if column not in read]

    def _cut(self, samples: pd.DataFrame, windows: Windows) -> pd.DataFrame:
        """A row a window of the one column of files with a time axis."""
        timed = [(m, c) for m in self.media if m.timed for c in m.columns]
        if len(timed) != 1 or self.pieces.times:
            said = f"{some([c for _, c in timed]) or 'none'}{', in pieces' * bool(self.pieces.times)}"
            raise DataError(f"data.source.windows: expected one column of whole files with a time axis, found {said}")
        medium, column = timed[0]
        read = partial(medium.seconds, column)
        made, notes = cut(samples, column, read, windows, self.limits, self.root, self.file)
        self.notes += notes
        self.pieces = Pieces({column: ENDS}, self.images, self.file)
        self.identity = (*self.identity, windows)
        return self.pieces.marked(made)

    def _find_columns(self, rows: Rows) -> None:
        """Fill the columns that the config does not name, by what their values end in."""
        named = {column for medium in self.media for column in medium.asked or ()}
        for medium in self.media:
            if medium.asked is not None:
                continue
            found = [c for c in columns_of_files(rows, medium.named) if c not in named]
            if found and (lacking := medium.lacking()):
                self.notes.append(f"{self.file}: {some(found)}: files of {medium.called}s are left out: {lacking}")
            else:
                medium.columns = found
        self.images = list(dict.fromkeys(column for medium in self.media for column in medium.columns))
        if not self.images and self.media[0].asked is None:
            others = [f"{medium.called}s (data.source.{medium.key})" for medium in self.media[1:]]
            raise no_file(self.file, rows, self.media[0].named, others)

    def _called(self) -> str:
        """What the file that names a row is called."""
        return next((m.called for m in self.media if self.images and self.images[0] in m.columns), "image")

    def expect(self, rows: Sequence[int], streams: Sequence[Stream]) -> None:
        """These rows will be read next, in this order: what other processes decode is begun with."""
        apart = [(s, f) for s in streams if kinds.of(s).stored == "bands" and self.fields[f := self._field(s)].apart]
        jobs = (self._job(field, index, stream) for index in rows for stream, field in apart)
        kept = self._recent.kept if self._recent is not None else ()
        self._ahead.expect(job for job in jobs if job is not None and job[0] not in kept)

    def _decoded(self, field: str, key: Hashable, read: Callable[[], Decoded]) -> Decoded:
        """One file, or a piece of it; one that rows share can't be written to."""
        fresh = partial(self._ahead.get, key, read) if self.fields[field].apart else read
        if self._recent is None:
            return fresh()
        found = self._recent.get(key, fresh)
        if found.values is not None:
            found.values.flags.writeable = False
        return found

    def _job(self, field: str, index: int, stream: Stream) -> Job | None:
        """The name of what a row has in a field, and what reads it; None where it lacks it."""
        medium = self.fields[field]
        path = self._cells(self.samples, column := medium.column(field))[index]
        if not isinstance(path, str) or not path:
            return None
        piece = self.pieces.of(column, self.samples, index)
        if medium.clips > 1:
            piece = piece._replace(clip=int(self.samples[CLIP].iloc[index]))
        key = (field, path, medium.wanted(stream), piece)
        return key, partial(medium.read, field, path, stream, piece)

    @property
    def scaled_fields(self) -> list[str]:
        """The fields whose frames are scaled down as they are decoded."""
        return [field for medium in self.media for field in medium.scaled()]

    def to_size(self, resizes: Mapping[str, Resize]) -> None:
        """Tell every medium what brings each stream to size."""
        for medium in self.media:
            medium.to_size(resizes)

    def _field(self, stream: Stream) -> str:
        fields: dict[str, list[str]] = {}
        for field, (kind, _) in self.field_kinds.items():
            fields.setdefault(kind, []).append(field)
        return field_of(stream, fields, self.text_columns, self.file, self.samples)

    def _settled(self, rows: Rows, needed: Sequence[str], key: str | None, files: Sequence[str]) -> Rows:
        """The rows with their gaps settled by `missing`; names of files become paths."""
        gaps, places, renamed = Gaps(self.file, self.missing), Places(self.root), list[tuple[str, str]]()
        for number, row in enumerate(rows, 1):
            gaps.texts(number, row, self.text_columns)
            gaps.columns(number, row, needed, key)
            self.pieces.require(number, row)
            renamed += gaps.files(number, row, files, places, self.on_error == "raise")
        taken, notes = gaps.settle(rows)
        self.notes, self._about = [*self.notes, *notes], gaps.about
        if renamed:
            (written, path), said = renamed[0], f"{len(renamed)} {self._called()}s have a name written in another way"
            self.notes.append(f"{self.file}: {said}, such as {written!r} for {path}")
        return taken
