"""Several sources joined on an id: a row holds what each of them has of one thing, such as photograph and spectrum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multimodal_lab.data import kinds
from multimodal_lab.data.readers.joined_rows import Missing, join, joined_table
from multimodal_lab.data.readers.members import classes, common_mask, complete, members, notes, to_size
from multimodal_lab.data.source import DataError, NoStream, Raw, Rows, Source
from multimodal_lab.data.split.same_image import group
from multimodal_lab.data.streams.labels import CLASSES, COMPLETE
from multimodal_lab.data.streams.resize import Resize
from multimodal_lab.text import expected_one_of
from multimodal_lab.types import Band, Stream

if TYPE_CHECKING:
    from multimodal_lab.data.dataset import Data

KEPT = 256


class Joined:
    """The rows of `sources` that have one id are one sample; a source that lacks it lacks its streams there.

    sources: {name: a reader, or a data set of `conf/data`, whose reader, folder and scaling are taken}. A stream is that of
    the source which its `field` names (`spectrum`, or `pairs.photo` for a column of it), or else its own name. key: the
    column of ids, in all or by source; `stem`: the last part of `id`, the name of a file without folders and suffix. An id
    stands once in a source. missing: rows that a source lacks are kept, its streams missing (`keep`, an outer join), left
    out (`drop`, an inner join), or refused. Columns of one name are one column, whichever side knows its value; a
    contradiction is a `DataError`; columns of images and texts are called `source.column`. leave_out: {source: columns} that
    are not taken. A sample's `id` is the id joined on. Images of one sample share one mask.
    """

    def __init__(
        self,
        sources: dict[str, Source | Data],
        *,
        root: str | None = None,
        key: str | dict[str, str] = "id",
        missing: Missing = "keep",
        leave_out: dict[str, list[str]] | None = None,
    ) -> None:
        self.root = root
        self.members = members(sources)
        by = key if isinstance(key, dict) else dict.fromkeys(self.members, key)
        self._require_sources(key=by, leave_out=leave_out or {})
        self.identity = (by, missing, leave_out or {})
        self.field_bands = {
            f"{name}.{field}" if field else name: bands
            for name, member in self.members.items()
            for field, bands in (member.fields or {"": member.source.bands}).items()
            if bands
        }
        self.bands: tuple[Band, ...] = tuple(dict.fromkeys(b for m in self.members.values() for b in m.source.bands))
        self.aliases = self._aliases()
        self.scaled_fields = self._columns("scaled_fields")
        taken = {name: getattr(member.source, "sampled", {}) for name, member in self.members.items()}
        self.sampled = {f"{name}.{field}": how for name, of in taken.items() for field, how in of.items()}
        ids, self._rows, told = join(self.members, by, missing)
        made = joined_table(self.members, ids, self._rows, leave_out or {}, root)
        self.notes = [*notes(self.members), told]
        self.images = self._columns("images")
        self.text_columns = self._columns("text_columns")
        self.items = self._items()
        shown = [f"{n}.{c}" for n, m in self.members.items() if (c := getattr(m.source, "together", None))]
        made, self.together = group(made, shown) if shown else (made, None)
        made.attrs = {COMPLETE: complete(self.members, made, self._rows), CLASSES: classes(self.members, made)}
        if any(m.table.attrs.get("overlapping") for m in self.members.values()):
            made.attrs["overlapping"] = "block"
        self.samples: pd.DataFrame = made
        self._homes: dict[int, tuple[Stream, str, Stream]] = {}

    @property
    def threads(self) -> bool:
        """Whether threads serve all of the sources well."""
        return all(getattr(m.source, "threads", False) for m in self.members.values())

    def to_size(self, resizes: Mapping[str, Resize]) -> None:
        """Tell every source what brings each stream to size."""
        to_size(self.members, resizes)

    def bands_of(self, stream: str, field: str) -> tuple[Band, ...]:
        """The bands that a stream of this name and `field` may be cut from."""
        name, own = self._named(stream, field)
        member = self.members[name]
        only = next(iter(member.fields.values())) if len(member.fields) == 1 else member.source.bands
        return member.fields.get(own or stream, only)

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """What each source gives of its streams; None where it lacks this row."""
        own = self._by_source(streams)
        rows = {name: int(self._rows[name][index]) for name in own}
        raws = {name: self.members[name].source.read(row, own[name]) for name, row in rows.items() if row >= 0}
        inputs: dict[str, Any] = dict.fromkeys(stream.name for stream in streams)
        missing: dict[str, np.ndarray] = {}
        scales: dict[str, float] = {}
        for name, raw in raws.items():
            inputs |= raw.inputs
            missing |= raw.missing
            there = [s.name for s in own[name] if kinds.of(s).has_bands and raw.inputs[s.name] is not None]
            scales |= {stream: raw.scale(stream) for stream in there}
        mask = common_mask(raws, lambda: any(self.members[n].masks(s) for n, s in own.items()))
        return Raw(inputs, mask, scales, missing, {k: rate for raw in raws.values() for k, rate in raw.rates.items()})

    def expect(self, rows: Sequence[int], streams: Sequence[Stream]) -> None:
        """What comes next, told to every source that can begin with it."""
        for name, own in self._by_source(streams).items():
            if ask := getattr(self.members[name].source, "expect", None):
                ask([place for row in rows if (place := int(self._rows[name][row])) >= 0], own)

    def read_rows(self, index: np.ndarray, streams: Sequence[Stream]) -> Rows | None:
        """The same of many rows of vectors at once; None where a source lacks one, or reads one by one."""
        made = Rows({}, {})
        for name, own in self._by_source(streams).items():
            rows, read = self._rows[name][index], getattr(self.members[name].source, "read_rows", None)
            found = read(rows, own) if read is not None and (rows >= 0).all() else None
            if found is None:
                return None
            made.inputs |= found.inputs
            made.full_scale |= found.full_scale
        return made

    def _by_source(self, streams: Sequence[Stream]) -> dict[str, list[Stream]]:
        own: dict[str, list[Stream]] = {}
        for stream in streams:
            name, mine = self._home(stream)
            own.setdefault(name, []).append(mine)
        return own

    def _named(self, stream: str, field: str) -> tuple[str, str]:
        """The source of a stream, and the field that it is in there."""
        name, _, rest = field.partition(".")
        if name in self.members:
            return name, rest
        if stream in self.members:
            return stream, field
        own = self._homes_of(field or stream)
        if len(own) == 1:
            return own[0], field or stream
        near = expected_one_of(field or stream, [*self.members])
        raise NoStream(f"modality.{stream}.field: {field or 'none'}, and no source is called {stream}; {near}")

    def _homes_of(self, field: str) -> list[str]:
        """The sources that have bands of a field."""
        return [name for name, member in self.members.items() if field in member.fields]

    def _home(self, stream: Stream) -> tuple[str, Stream]:
        """The source of a stream, and the stream as that source knows it: the same object each time, which readers ask for."""
        known = self._homes.get(id(stream))
        if known is None or known[0] is not stream:
            if len(self._homes) > KEPT:
                self._homes.clear()
            name, field = self._named(stream.name, stream.field)
            of_column = (
                kinds.of(stream).stored == "column"
            )  # such a stream always names one: by itself, if nothing else
            own = replace(stream, field=field or stream.name * of_column)
            self.members[name].require(own)  # a row that lacks this source could not tell
            known = self._homes[id(stream)] = (stream, name, own)
        return known[1], known[2]

    def _columns(self, attribute: str) -> list[str]:
        """The columns that the sources name in an attribute, as they are called here."""
        return [f"{name}.{c}" for name, member in self.members.items() for c in getattr(member.source, attribute, ())]

    def _aliases(self) -> dict[str, str]:
        """{another name: field} of fields that are known by their own name, or by that of the source, too."""
        every = [(name, field) for name, member in self.members.items() for field in member.fields]
        alone = {f: f"{n}.{f}" for n, f in every if self._homes_of(f) == [n]}
        only = {name: f"{name}.{next(iter(m.fields))}" for name, m in self.members.items() if len(m.fields) == 1}
        return {name: field for name, field in (alone | only).items() if name not in self.field_bands}

    def _items(self) -> dict[str, str]:
        """{field: column} of all sources; an only column of images may be named by its source alone."""
        found: dict[str, str] = {}
        for name, member in self.members.items():
            own: Mapping[str, str] = getattr(member.source, "items", None) or {}
            found |= {f"{name}.{field}": f"{name}.{c}" for field, c in own.items()}
            alone = [field for field in own if field not in self.members and self._homes_of(field) == [name]]
            found |= {field: f"{name}.{own[field]}" for field in alone}
            if len(own) == 1:
                found[name] = f"{name}.{next(iter(own.values()))}"
        return found

    def _require_sources(self, **choices: Mapping[str, Any]) -> None:
        """`DataError` where a choice names a source that isn't there."""
        for key, named in choices.items():
            for name in named:
                if name not in self.members:
                    raise DataError(f"data.source.{key}: no source {name!r}; {expected_one_of(name, [*self.members])}")
