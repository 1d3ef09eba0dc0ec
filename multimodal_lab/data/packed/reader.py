"""Read samples of a packed store: one `pread` per sample, only the requested bytes, hashes verified."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from multimodal_lab.data import kinds
from multimodal_lab.data.packed.format import (
    MANIFEST,
    as_text,
    bands_of,
    hasher,
    parts_of,
    pread,
    read_manifest,
    shard_name,
    whole_indexes,
    whole_table,
)
from multimodal_lab.data.packed.layout import Layout, Planes, Recipe, planes_of
from multimodal_lab.data.readers.folder import existing
from multimodal_lab.data.source import DataError, NoStream, Raw, Rows
from multimodal_lab.data.streams.bands import indices
from multimodal_lab.data.streams.labels import CLASSES
from multimodal_lab.data.streams.resize import Resize
from multimodal_lab.text import show, some
from multimodal_lab.types import Band, Stream

KEPT = 64  # sets of streams whose recipes are kept
HEAD = 32  # bytes of an index row before the fields that say what its record holds


@dataclass
class Asked:
    """Streams that are read together: columns of the table, arrays of a record, and how these are cut, by the record's shapes."""

    streams: list[Stream]  # kept, so that no other stream takes the identity of one
    columns: list[Stream]
    arrays: list[Stream]
    recipes: dict[bytes, Recipe] = field(default_factory=dict)


class Packed:
    """A packed copy of another source: the same samples, table, bands, masks and missing streams.

    verify: when a record's hash is compared with the index: at its `first` reading by this process, at `every` one, or
    `never`. Opening checks the manifest's seal, the table, the indexes and the size of every shard. A record that is
    damaged or cut short is a `DataError` that names sample, shard and both hashes. Threads may share it.
    """

    copies = True  # of what another reader gave, by its choices, such as which frames of a video
    threads = True  # reading waits for the disk and copies memory, both outside of Python's lock

    def __init__(self, root: str, *, verify: Literal["first", "every", "never"] = "first") -> None:
        self.root = existing(root)
        self.verify = verify
        found = read_manifest(self.root)
        every: tuple[Band, ...] = bands_of(found)
        self.parts = parts_of(found)
        self.fields: dict[str, dict[str, Any]] = found["fields"]
        self._places = self._homes(len(every))
        self.bands = tuple(every[i] for i in self._places[""])
        self.field_bands = {name: tuple(every[i] for i in own) for name, own in self._places.items() if name}
        columns = [p for p in self.parts if p.field and not self.fields.get(p.kind, {"any": True})["any"]]
        self.field_kinds = {p.field: (p.kind, p.steps) for p in columns}
        self.aliases: dict[str, str] = found.get("aliases", {})  # other names of fields, as the packed source had them
        self.sampled: dict[str, dict[str, Any]] = found.get("sampled", {})
        self._scaled: dict[str, dict[str, Any]] = dict.fromkeys(found.get("scaled", ()), found.get("resize") or {})
        self._resizes: Mapping[str, Resize] = {}
        self.texts: list[str] = found["texts"]  # what a text stream may be cut from: of some sources every column
        self.text_columns: list[str] = found.get("text_columns", [])
        self.notes: list[str] = found["notes"]
        self.together: str | None = found.get("together")
        self.items: dict[str, str] = found.get("items", {})
        self.fingerprint: str = found["fingerprint"]
        self.shards: list[dict[str, Any]] = found["shards"]
        self.hash_name: str = found["hash"]
        self._hash = hasher(self.hash_name) if verify != "never" else None
        self.samples = whole_table(self.root, found)
        self.samples.attrs = {"overlapping": found.get("overlapping"), CLASSES: found.get(CLASSES, {})}
        self.index = whole_indexes(self.root, self.parts, self.shards)
        shapes = _shapes(self.index)
        self._alike = not (shapes != shapes[:1]).any()  # then one recipe serves every record
        self._starts = np.cumsum([0, *(s["samples"] for s in self.shards)]).tolist()
        self._paths = [self.root / shard_name(i, ".bin") for i in range(len(self.shards))]
        if not len(self.samples) == len(self.index) == found["count"]:
            there = f"{len(self.samples)} rows in its table, {len(self.index)} in its indexes"
            raise DataError(f"{self.root / MANIFEST}: {found['count']} samples, but {there}")
        self._offsets, self._sizes = (np.ascontiguousarray(self.index[f]) for f in ("offset", "bytes"))
        self._seen = np.zeros(len(self.index), dtype=bool)
        self._asked: dict[tuple[int, ...], Asked] = {}
        self._files: dict[int, int] = {}
        self._columns: dict[str, Any] = {}

    def _homes(self, count: int) -> dict[str, list[int]]:
        """{field: the places of its bands among all}; "" has all but those of fields beside what fields are ignored for."""
        found: dict[str, set[int]] = {"": set(range(count))}
        for part in self.parts:
            if part.field and part.kind not in ("mask", "missing"):
                found.setdefault(part.field, set()).update(part.bands)
                if self.fields[part.kind]["any"]:
                    found[""] -= set(part.bands)
        return {name: sorted(own) for name, own in found.items()}

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """The bands of `streams` as the packed source gave them, and the mask."""
        asked = self._ask(streams)
        texts = {s.name: self._text(index, s) for s in asked.columns}
        if not asked.arrays:
            return Raw(texts)
        recipe = self._recipe(index, asked)
        whole = self.verify == "every" or (self.verify == "first" and not self._seen[index])
        low, high = (0, int(self._sizes[index])) if whole else (recipe.low, recipe.high)
        record = np.empty(high - low, dtype=np.uint8)
        file, _ = self._file(index)
        short = pread(file, record, int(self._offsets[index]) + low) < len(record)
        if short or (whole and self._hash and self._hash(record) != self.index["hash"][index].tobytes()):
            raise DataError(self.damage(index) or f"{self._called(index)}: changed while it was read")
        self._seen[index] |= whole
        raw = recipe.cut(record, low)
        raw.inputs |= texts
        return raw

    def to_size(self, resizes: Mapping[str, Resize]) -> None:
        """What brings each stream to size: that of frames which were scaled down when they were packed, or a `DataError`."""
        self._resizes, self._asked = resizes, {}

    def read_rows(self, index: np.ndarray, streams: Sequence[Stream]) -> Rows | None:
        """The same of many rows of vectors at once; None where they must be read one by one, as where one is damaged."""
        entries = self.index[index]
        asked, shapes = self._ask(streams), _shapes(entries)
        if asked.columns or (shapes != shapes[0]).any():
            return None
        recipe = self._recipe(int(index[0]), asked)
        whole = self.verify == "every" or (self.verify == "first" and not self._seen[index].all())
        low, high = (0, int(entries["bytes"][0])) if whole else (recipe.low, recipe.high)
        records = np.empty((len(index), high - low), dtype=np.uint8)
        for row, record in zip(index.tolist(), records, strict=True):
            if pread(self._file(row)[0], record, int(self._offsets[row]) + low) < len(record):
                return None
        if whole and self._hash:
            if any(self._hash(r) != h.tobytes() for r, h in zip(records, entries["hash"], strict=True)):
                return None
            self._seen[index] = True
        values = recipe.cut_rows(records, low)
        if values is None:
            return None
        scales = recipe.full_scale
        return Rows(values, scales if isinstance(scales, dict) else dict.fromkeys(values, scales))

    def damage(self, index: int) -> str | None:
        """What is wrong with a record's bytes; None if they are those that were packed."""
        entry = self.index[index]
        record = np.empty(int(entry["bytes"]), dtype=np.uint8)
        file, path = self._file(index)
        got = pread(file, record, int(entry["offset"]))
        if got < len(record):
            return f"{self._called(index)}: {path} is truncated, {got:,} of {len(record):,} bytes"
        found, wanted = hasher(self.hash_name)(record).hex(), entry["hash"].tobytes().hex()
        return None if found == wanted else f"{self._called(index)}: damaged in {path}, hash {found}, expected {wanted}"

    def __getstate__(self) -> dict[str, Any]:
        # open files belong to this process; the other opens its own, and makes its own hash function
        return {**self.__dict__, "_files": {}, "_hash": None, "_asked": {}, "_columns": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = {**state, "_hash": hasher(state["hash_name"]) if state["verify"] != "never" else None}

    def _called(self, index: int) -> str:
        return f"sample {str(self.samples['id'].iloc[index])!r}"

    def _text(self, index: int, stream: Stream) -> Any:
        field, words = stream.field, self.text_columns or self.texts
        if field in ("", stream.name) and field not in self.texts and len(words) == 1:
            field = words[0]  # a stream without a field is called like its field
        if field not in self.texts:
            raise NoStream(f"stream {stream.name}: no text {stream.field!r}; there are {some(self.texts) or 'none'}")
        if field not in self._columns:  # a column of a table takes longer to find than a record to read
            self._columns[field] = self.samples[field].array
        return as_text(self._columns[field][index])

    def _ask(self, streams: Sequence[Stream]) -> Asked:
        # By identity: hashing a stream of 408 bands takes as long as reading it.
        key = tuple(map(id, streams))
        if (known := self._asked.get(key)) is None:
            if len(self._asked) > KEPT:
                self._asked = {}
            columns = [s for s in streams if kinds.of(s).stored == "column"]
            arrays = [s for s in streams if kinds.of(s).stored != "column"]
            known = Asked(list(streams), columns, arrays)
            self._asked[key] = known
        return known

    def _recipe(self, index: int, asked: Asked) -> Recipe:
        shape = b"" if self._alike else self.index[index].tobytes()[HEAD:]
        if shape not in asked.recipes:
            made = Layout(self.parts, self.index[index]).recipe({s.name: self._planes(s) for s in asked.arrays})
            asked.recipes[shape] = made
        return asked.recipes[shape]

    def _planes(self, stream: Stream) -> Planes:
        kind = next((kind for kind in self.fields if kinds.alike(kind, stream.kind)), None)
        if kind is None:
            raise NoStream(f"stream {stream.name}: {self.root} holds {' and '.join(self.fields)}, not {stream.kind}")
        facts = self.fields[kind]
        named = stream.field or (stream.name if stream.name in facts["names"] or stream.name in self.aliases else "")
        named = self.aliases.get(named, named)
        field = facts["default"] if not named or (facts["any"] and named not in facts["names"]) else named
        if field not in facts["names"]:
            expected = f"one of the {kind} columns: {', '.join(facts['names'])}"
            raise NoStream(f"modality.{stream.name}.field: {stream.field or 'none'}, expected {expected}")
        self._require_size(stream.name, field)
        own, bands = self._places.get(field, self._places[""]), self.field_bands.get(field, self.bands)
        return planes_of([own[i] for i in indices(stream, bands)], self.parts, kind, field)

    def _require_size(self, stream: str, field: str) -> None:
        """`DataError` where frames that were scaled down when they were packed would be scaled otherwise."""
        if (resize := self._resizes.get(stream)) is None or resize.keys() == self._scaled.get(field, resize.keys()):
            return
        here, then = (", ".join(f"{k}={show(v)}" for k, v in of.items()) for of in (resize.keys(), self._scaled[field]))
        raise DataError(
            f"{resize.key}: frames of stream {stream} are asked for at {here}, and {self.root} has them at {then}, to which they "
            "were scaled as they were packed; take that, or pack with data.source.shrink=false, which keeps them as stored"
        )

    def _file(self, index: int) -> tuple[int, Path]:
        """The open shard of a sample, and its path."""
        shard = bisect_right(self._starts, index) - 1
        if shard not in self._files:
            try:
                opened = os.open(self._paths[shard], os.O_RDONLY)
            except OSError as error:
                raise DataError(f"{self._paths[shard]}: can't be opened: {error.strerror}") from error
            if self._files.setdefault(shard, opened) != opened:  # another thread was quicker
                os.close(opened)
        return self._files[shard], self._paths[shard]


def _shapes(rows: np.ndarray) -> np.ndarray:
    """(n, bytes) of the fields of index rows that say what the records hold."""
    return rows.view(np.uint8).reshape(len(rows), rows.dtype.itemsize)[:, HEAD:]
