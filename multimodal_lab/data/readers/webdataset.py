"""Reader of WebDataset's tars: members of one key are one sample; an index makes them a source of random access."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from multimodal_lab.data import kinds
from multimodal_lab.data.readers.folder import existing, find
from multimodal_lab.data.readers.gaps import Gaps, Missing
from multimodal_lab.data.readers.images import SUFFIXES, Colour, bands_of, decode
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.pair_rows import columns_of_texts, field_of
from multimodal_lab.data.readers.split_folders import split_of
from multimodal_lab.data.readers.tables import doubts, frame
from multimodal_lab.data.readers.tar_index import Sample, load
from multimodal_lab.data.source import DataError, Raw
from multimodal_lab.data.streams.bands import indices
from multimodal_lab.data.streams.labels import COMPLETE
from multimodal_lab.text import expected_one_of, some
from multimodal_lab.types import Band, Stream

COMMAND = "python scripts/index_tars.py"
Place = tuple[int, str, int, int]  # the tar, the member, where it begins, how many bytes


class WebDataset:
    """The samples of every tar below `root`, by key, with random access; streaming from elsewhere is not offered.

    A member `KEY.jpg` (or of another format of `Images`) is the image `image`, `KEY.depth.png` the image `depth`; `KEY.txt` is
    the text `text`, `KEY.cls` the class `cls`, and of `KEY.json` every entry is a column. index: `require` asks for what
    `scripts/index_tars.py` makes beside each tar, `make` makes it at the first opening; it is valid while the tar has its
    size and time. texts: columns of text; None: those of .txt members, and of a usual name. labels: columns that must be
    there. lines: whether each line of a .txt member is a caption of its own, as CLIP_benchmark writes them. missing: what a
    sample without an image, a text or a label does, see `Gaps`. colour: of all images, or {image: colour}; to_rgb makes RGB of
    any as it is read. alpha: see `Images`. A column `split` is added where every tar lies in a folder called train, val or test,
    or begins with one of these words, and no sample says it. Opening reads the indexes alone.
    """

    def __init__(
        self,
        root: str,
        *,
        index: Literal["require", "make"] = "require",
        texts: list[str] | None = None,
        lines: bool = False,
        labels: list[str] | None = None,
        missing: Missing = "refuse",
        colour: Colour | dict[str, Colour] = "rgb",
        alpha: Literal["refuse", "drop", "white", "black"] = "refuse",
        limits: Limits | None = None,
    ) -> None:
        self.root = existing(root)
        self.alpha: Literal["refuse", "drop", "white", "black"] = alpha
        self.limits, self.lines = limits or Limits(), lines
        self.tars = find(self.root, (".tar",))
        self.notes: list[str] = []
        found = [load(self.root / tar, tar, f"{COMMAND} {root}", index == "make") for tar in self.tars]
        self.limits.count(str(self.root), sum(map(len, found)))
        self._members: list[dict[str, Place]] = []
        rows, left = self._rows(found)
        if left:
            shown = some([f".{rest} ({n})" for rest, n in left.items()])
            self.notes.append(f"warning: left out: members that are no images, texts or labels: {shown}")
        self.images = list(dict.fromkeys(name for members in self._members for name in members))
        own = dict.fromkeys(c for row in rows for c in row if c not in ("id", "path"))
        words = [c for c in own if c in self._words]
        self.text_columns = list(dict.fromkeys([*words, *columns_of_texts(rows)])) if texts is None else texts
        if isinstance(colour, dict) and (wrong := [c for c in colour if c not in self.images]):
            raise DataError(f"data.source.colour: no image {wrong[0]!r}; {expected_one_of(wrong[0], self.images)}")
        self.colours: dict[str, Colour] = {
            c: colour.get(c, "rgb") if isinstance(colour, dict) else colour for c in self.images
        }
        self.field_bands = {c: bands_of(each) for c, each in self.colours.items()}
        self.bands: tuple[Band, ...] = tuple(dict.fromkeys(b for each in self.field_bands.values() for b in each))
        self.identity = (self.images, self.text_columns, colour, alpha)
        rows = self._settled(rows, [*self.text_columns, *(labels or [])], missing)
        if splits := self._splits(rows):
            rows = [{**row, "split": split} for row, split in zip(rows, splits)]
        self.samples: pd.DataFrame = frame(rows, str(self.root))
        said = f"images: {some(self.images) or 'none'}; texts: {some(self.text_columns) or 'none'}"
        self.notes.append(f"{len(rows)} samples of {len(self.tars)} tars; {said}")
        learnt = [c for c in own if c not in self.text_columns]
        self.notes += doubts(self.samples, learnt, str(self.root))
        if missing == "refuse":
            self.samples.attrs[COMPLETE] = dict.fromkeys(learnt, "data.source.missing")
        self._files: dict[int, int] = {}

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """Images (C, H, W), texts as str or list of str; None where the sample has none."""
        inputs: dict[str, Any] = {}
        scales: dict[str, float] = {}
        images: dict[str, np.ndarray] = {}
        for stream in streams:
            field = self._field(stream)
            if kinds.of(stream).stored == "column":
                value = self.samples[field].iloc[index]
                inputs[stream.name] = value if isinstance(value, str | list) else None
            elif (place := self._members[index].get(field)) is None:
                inputs[stream.name] = None
            else:
                if field not in images:
                    named = f"{self.tars[place[0]]}: {place[1]}"
                    images[field] = decode(
                        self._bytes(place, named), named, self.colours[field], self.alpha, self.limits
                    )[0]
                inputs[stream.name] = images[field][indices(stream, self.field_bands[field])]
                scales[stream.name] = float(np.iinfo(images[field].dtype).max)
        return Raw(inputs, None, scales)

    def unread(self, streams: Sequence[Stream], columns: Collection[str]) -> list[str]:
        """Those of `notes` that are about a column which is none of these, and which none of these streams is cut from."""
        read = {*columns, *map(self._field, streams)}
        return [note for note, column in self._about.items() if column not in read]

    def _field(self, stream: Stream) -> str:
        return field_of(stream, {"image": self.images}, self.text_columns, str(self.root), self.samples)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": {}}  # open files belong to this process

    def _bytes(self, place: Place, named: str) -> bytes:
        """One member of a tar."""
        tar, _, offset, size = place
        if size > self.limits.bytes:
            raise DataError(
                f"{named}: {size:,} bytes, the limit is {self.limits.bytes:,} (data.source.limits.bytes raises it)"
            )
        if tar not in self._files:
            self._files[tar] = os.open(self.root / self.tars[tar], os.O_RDONLY)
        found = b""
        while len(found) < size and (more := os.pread(self._files[tar], size - len(found), offset + len(found))):
            found += more
        if len(found) < size:
            raise DataError(f"{named}: cut short, {len(found):,} of {size:,} bytes")
        return found

    def _rows(self, found: Sequence[Sequence[Sample]]) -> tuple[list[dict[str, Any]], dict[str, int]]:
        """A row a sample; fills `_members` and `_words`; and how many members of each kind are left out."""
        counts = Counter(sample["key"] for samples in found for sample in samples)
        left: Counter[str] = Counter()
        self._words: set[str] = set()
        rows = []
        for tar, samples in enumerate(found):
            shard = str(Path(self.tars[tar]).with_suffix("").as_posix())
            for sample in samples:
                key = sample["key"]
                members: dict[str, Place] = {}
                row: dict[str, Any] = {"id": key if counts[key] == 1 else f"{shard}/{key}", "path": self.tars[tar]}
                for rest, (offset, size) in sample["members"].items():
                    stem, _, last = rest.rpartition(".")
                    if f".{last}" in SUFFIXES:
                        _once(members, stem or "image", (tar, f"{key}.{rest}", offset, size), row["path"], key)
                    elif last == "txt":
                        self._words.add(stem or "text")
                        _once(row, stem or "text", self._text(sample["text"][rest]), row["path"], key)
                    elif last == "cls":
                        word = sample["text"][rest]
                        _once(row, stem or "cls", _class(word), row["path"], key)
                    elif last == "json":
                        _entries(row, sample["text"][rest], stem, members, key)
                    else:
                        left[rest] += 1
                rows.append(row)
                self._members.append(members)
        twice = [i for i, n in Counter(row["id"] for row in rows).items() if n > 1]
        if twice:
            raise DataError(f"{self.root}: key {twice[0]!r} stands twice")
        return rows, dict(left)

    def _text(self, text: str) -> str | list[str]:
        """What a .txt member says: one text, or with `lines` its lines."""
        return text.splitlines() if self.lines else text

    def _splits(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        """The split of each row by the folder or the name of its tar; empty where not all tell it, or a column does."""
        of = {tar: split_of(f"{tar}/{re.split('[^a-zA-Z]', Path(tar).name)[0]}/-") for tar in self.tars}
        if any("split" in row for row in rows) or not all(of.values()):
            return []
        self.notes.append("column split: by the folders or names of the tars")
        return [str(of[row["path"]]) for row in rows]

    def _settled(self, rows: list[dict[str, Any]], needed: Sequence[str], missing: Missing) -> list[dict[str, Any]]:
        """The rows with their gaps settled by `missing`; refuses columns of `needed` that are not there."""
        there = {c for row in rows for c in row}
        for c in needed:
            if c not in there:
                names = some(list(dict.fromkeys(c for row in rows for c in row)))
                raise DataError(f"{self.root}: no member or entry of .json is called {c!r}; there are {names}")
        gaps = Gaps(str(self.root), missing, called=lambda number: f"sample {rows[number - 1]['id']!r}")
        for number, (row, members) in enumerate(zip(rows, self._members), 1):
            gaps.texts(number, row, self.text_columns)
            gaps.columns(number, {**row, **members}, [*needed, *self.images], "id")
        kept, notes = gaps.settle([*zip(rows, self._members)])
        self.notes, self._about = [*self.notes, *notes], gaps.about
        self._members = [members for _, members in kept]
        return [row for row, _ in kept]


def _class(word: str) -> int | str:
    """A number where it is one: no class has more digits."""
    return int(word) if word.isdecimal() and len(word) <= 18 else word


def _once(found: dict[str, Any], name: str, value: Any, tar: str, key: str) -> None:
    if name in found:
        raise DataError(f"{tar}: {key!r} has two members for {name}; expected one")
    found[name] = value


def _entries(row: dict[str, Any], found: dict[str, Any], stem: str, members: dict[str, Place], key: str) -> None:
    """The entries of a .json member as columns; one whose name is taken is called `json.NAME`."""
    for name, value in found.items():
        plain = not isinstance(value, dict) and not (
            isinstance(value, list) and any(isinstance(v, dict | list) for v in value)
        )
        named = f"{stem}.{name}" if stem else str(name)
        if plain:
            row[f"json.{named}" if named in ("id", "path", "image", "text", "cls") else named] = value
