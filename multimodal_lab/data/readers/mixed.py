"""Several data sets side by side: the rows of all, with the union of their streams and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multimodal_lab.data import kinds
from multimodal_lab.data.readers.members import Member, classes, common_mask, complete, members, notes, to_size
from multimodal_lab.data.readers.mixed_rows import ITEM, mixed_table, united
from multimodal_lab.data.source import DataError, NoStream, Raw, Source
from multimodal_lab.data.split.same_image import SAME
from multimodal_lab.data.streams.labels import CLASSES, COMPLETE
from multimodal_lab.data.streams.resize import Resize
from multimodal_lab.types import Band, Stream

if TYPE_CHECKING:
    from multimodal_lab.data.dataset import Data

KEPT = 256


class Mixed:
    """The rows of all `sources`; a stream that a set has not is missing in its rows, and so is a label.

    sources: {name: a reader, or a data set of `conf/data`, whose reader and folder are taken}. A stream is of every set that
    has its kind and all its bands by name, or its column of texts; of one alone if its `field` names that (`a`, `a.photo`).
    The column `source` names the set, an `id` is `set/id`. Classes of one name are one class; apart: columns whose equal
    values in two sets mean different things, such as [individual]. by_full_scale: divide values by the largest of their
    type, so that sets of 8 and 16 bits are on one scale; without, they are refused. How often training takes each set:
    `data.sampling`.
    """

    def __init__(
        self,
        sources: dict[str, Source | Data],
        *,
        root: str | None = None,
        apart: list[str] | None = None,
        by_full_scale: bool = False,
    ) -> None:
        self.members = members(sources)
        self.by_full_scale = by_full_scale
        self.identity = (list(self.members), apart or [], by_full_scale)
        self.bands, told = united({name: m.source.bands for name, m in self.members.items()})
        fields = dict.fromkeys(f for m in self.members.values() for f in m.fields)
        own = {f: {n: m.fields[f] for n, m in self.members.items() if f in m.fields} for f in fields}
        self.field_bands = {f: united(parts)[0] for f, parts in own.items()}
        self.field_bands |= {name: m.source.bands for name, m in self.members.items() if m.source.bands}
        table, more = mixed_table(self.members, root, apart or [])
        self.notes = [*notes(self.members), *told, *more]
        sizes = [len(m.table) for m in self.members.values()]
        self._set = np.repeat(np.arange(len(sizes)), sizes)
        self._row = np.concatenate([np.arange(n) for n in sizes])
        rows = {n: np.where(self._set == i, self._row, -1) for i, n in enumerate(self.members)}
        wanted = complete(self.members, table, rows)
        table.attrs = {COMPLETE: wanted, CLASSES: classes(self.members, table)}
        if any(m.table.attrs.get("overlapping") for m in self.members.values()):
            table.attrs["overlapping"] = "block"
        self.samples: pd.DataFrame = table
        self.together = SAME if SAME in table else None
        self.scaled_fields = [f for m in self.members.values() for f in getattr(m.source, "scaled_fields", ())]
        taken = [getattr(m.source, "sampled", {}) for m in self.members.values()]
        self.sampled = {f: how for of in taken for f, how in of.items() if all(o.get(f, how) == how for o in taken)}
        self.items = {c.removeprefix(ITEM): c for c in table.columns if str(c).startswith(ITEM)}
        self.text_columns = list(
            dict.fromkeys(c for m in self.members.values() for c in getattr(m.source, "text_columns", ()))
        )
        shown = [c for m in self.members.values() for c in getattr(m.source, "images", ())]
        self.images = list(dict.fromkeys([*shown, *self.items.values()]))
        self._homes: dict[int, tuple[Stream, list[Stream | None]]] = {}

    @property
    def threads(self) -> bool:
        """Whether threads serve all of the sets well."""
        return all(getattr(m.source, "threads", False) for m in self.members.values())

    def to_size(self, resizes: Mapping[str, Resize]) -> None:
        """Tell every set what brings each stream to size."""
        to_size(self.members, resizes)

    def bands_of(self, stream: str, field: str) -> tuple[Band, ...]:
        """The bands that a stream of this name and `field` may be cut from."""
        name, _, rest = field.partition(".")
        if name in self.members:
            member = self.members[name]
            return member.fields.get(rest or stream, member.source.bands)
        return self.field_bands.get(field or stream, self.bands)

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """What the set of this row gives of the streams; None of those that it has not."""
        place = int(self._set[index])
        member = list(self.members.values())[place]
        found = {s.name: self._own(s)[place] for s in streams}
        own = [s for s in found.values() if s is not None]
        raw = member.source.read(int(self._row[index]), own) if own else Raw({})
        there = [s.name for s in own if kinds.of(s).has_bands and raw.inputs[s.name] is not None]
        scales = {name: raw.scale(name) for name in there}
        inputs: dict[str, Any] = {name: raw.inputs.get(name) for name in found}
        if self.by_full_scale:
            for name in there:
                inputs[name] = inputs[name].astype(np.float32) * np.float32(1 / scales[name])
            scales = dict.fromkeys(there, 1.0)
        mask = common_mask({member.name: raw}, lambda: self._masked(streams))
        return Raw(inputs, mask, scales, raw.missing, raw.rates)

    def _masked(self, streams: Sequence[Stream]) -> bool:
        """Whether any set has masks of these streams."""
        every = [[own for s in streams if (own := self._own(s)[i]) is not None] for i in range(len(self.members))]
        return any(member.masks(own) for member, own in zip(self.members.values(), every))

    def _own(self, stream: Stream) -> list[Stream | None]:
        """The stream as each set knows it, None where it has not got it; the same objects each time."""
        known = self._homes.get(id(stream))
        if known is None or known[0] is not stream:
            if len(self._homes) > KEPT:
                self._homes.clear()
            named = stream.field.partition(".")[0]
            asked = [m for m in self.members.values() if named not in self.members or m.name == named]
            speak = {m.name: own for m in asked if (own := _spoken(m, stream, named == m.name)) is not None}
            if not speak:
                names = " and ".join(m.name for m in asked)
                raise NoStream(f"stream {stream.name}: {names} have no {stream.kind} stream of that name or field")
            have = {name: one for name, one in speak.items() if _has_bands(self.members[name], one)}
            known = self._homes[id(stream)] = (stream, [have.get(name) for name in self.members])
            self._require_one_type(stream.name, have)
        return known[1]

    def _require_one_type(self, name: str, own: dict[str, Stream]) -> None:
        """Refuse sets whose values of one stream have two types, as their first samples tell."""
        types: dict[str, str] = {}
        for member, stream in own.items():
            try:
                x = self.members[member].source.read(0, [stream]).inputs[stream.name]
            except DataError:  # told when it is read
                continue
            if isinstance(x, np.ndarray):
                types.setdefault(str(x.dtype), member)
        if len(types) > 1 and not self.by_full_scale:
            self._homes.clear()
            said = ", ".join(f"{kind} in {member}" for kind, member in types.items())
            raise DataError(f"stream {name}: values of {said}; data.source.by_full_scale=true puts them on one scale")


def _spoken(member: Member, stream: Stream, named: bool) -> Stream | None:
    """The stream as a set would be asked for it; None where the set has no stream of that kind, or no such column."""
    rest = stream.field.partition(".")[2] if named else stream.field
    column = kinds.of(stream).stored == "column"
    own = replace(stream, field=rest or stream.name * column)
    bands = () if column else member.fields.get(own.field or own.name, member.source.bands)[:1]
    try:
        member.require(replace(own, bands=bands))
    except NoStream:
        return None
    return own


def _has_bands(member: Member, stream: Stream) -> bool:
    there = member.fields.get(stream.field or stream.name, member.source.bands)
    return {b.name for b in stream.bands} <= {b.name for b in there}
