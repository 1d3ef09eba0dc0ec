"""Probe a source for what it can provide: record parts, image fields, texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from multimodal_lab.data import kinds
from multimodal_lab.data.packed.format import Part
from multimodal_lab.data.source import DataError, Raw, Source
from multimodal_lab.types import Band, KindName, Stream

NOWHERE = "\0"  # a field that no data set has


@dataclass
class Offer:
    """parts: the blocks of a record, the mask last if there is one. fields: {kind: what `Stream.field` may say}, where
    `any` ignores it and `default` is what none means. texts: columns that text streams can be cut from."""

    parts: list[Part] = field(default_factory=list)
    fields: dict[str, dict[str, Any]] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)


def probe(source: Source) -> Offer:
    """Ask a source for single bands of every kind and field, until the type of each is known.

    A band that no sample has is left out. Raises what the source raises if it gives neither arrays nor texts.
    """
    offer = Offer()
    columns = list(dict.fromkeys([*map(str, source.samples.columns), *getattr(source, "field_bands", ())]))
    refused: list[Exception] = []
    for kind in _in_blocks() if source.bands else ():
        if any(kinds.alike(kind, other) for other in offer.fields):
            continue  # the same values by another name
        names = _fields(source, kind, columns, refused)
        if names is not None:
            offer.fields[kind] = names
    for column in map(str, source.samples.columns):
        # A column is packed unchanged in the table, whatever kind reads it later: to ask for its text is enough.
        raw = _gives(source, Stream("x", "text", field=column), refused)
        if raw is not None and isinstance(raw.inputs["x"], str | list | None):
            offer.texts.append(column)
    if source.bands and not offer.fields and refused:
        raise refused[0]
    offer.parts = _parts(source, offer.fields)
    return offer


def single(kind: KindName, name: str, bands: Sequence[Band], places: Sequence[int]) -> list[Stream]:
    """A stream for each band alone."""
    return [Stream(f"{kind} {name} {i}", kind, (bands[i],), field=name) for i in places]


def together(part: Part, bands: Sequence[Band], name: str) -> Stream:
    """All bands of a part as one stream called `name`."""
    return Stream(name, part.kind, tuple(bands[i] for i in part.bands), field=part.field)


def _fields(source: Source, kind: KindName, columns: list[str], refused: list[Exception]) -> dict[str, Any] | None:
    def gives(name: str) -> bool:
        raw = _gives(source, Stream("x", kind, _bands(source, name)[:1], field=name), refused)
        x = None if raw is None else raw.inputs["x"]
        return raw is not None and (x is None or _steps(kind, x) is not None)

    if gives(NOWHERE):
        return {"any": True, "names": [""], "default": ""}
    names = [c for c in columns if gives(c)]
    alone = gives("")
    if not names and not alone:
        return None
    return {"any": False, "names": names or [""], "default": (names or [""])[0] if alone else None}


def _gives(source: Source, stream: Stream, refused: list[Exception]) -> Raw | None:
    try:
        return source.read(0, [stream])
    except Exception as error:  # a reader says in its own way that it has no such stream
        refused.append(error)
        return None


def _parts(source: Source, fields: dict[str, dict[str, Any]]) -> list[Part]:
    waiting = [
        stream
        for kind in _in_blocks()
        for name in (fields[kind]["names"] if kind in fields else ())
        for stream in single(kind, name, source.bands, [source.bands.index(b) for b in _bands(source, name)])
    ]
    places = {s.name: int(s.name.rsplit(" ", 1)[1]) for s in waiting}
    groups: dict[tuple[Any, ...], list[int]] = {}
    for index in range(len(source.samples)):
        if not waiting:
            break
        raw = source.read(index, waiting)
        for stream in list(waiting):
            x = raw.inputs[stream.name]
            if x is not None:
                steps = bool(_steps(stream.kind, x))
                key = (stream.kind, stream.field, x.dtype.str, raw.scale(stream.name), steps, x.shape[1 + steps :])
                groups.setdefault(key, []).append(places[stream.name])
                waiting.remove(stream)
    made = [Part(k[0], k[1], tuple(sorted(places)), _little(k[2]), k[3], k[4]) for k, places in groups.items()]
    gappy = [(i, p) for i, p in enumerate(made) if kinds.get(p.kind).spatial or p.steps]
    holes = [Part("missing", str(i), p.bands, "|b1", 1.0, p.steps) for i, p in gappy]
    return [*made, *holes, Part("mask", "", (), "|b1", 1.0)] if made else []


def _steps(kind: KindName, x: Any) -> bool | None:
    """Whether a stored value of a kind has a time axis; None where it is no such value."""
    more = np.ndim(x) - 1 - kinds.get(kind).axes
    return bool(more) if more == 0 or (more == 1 and kinds.get(kind).steps) else None


def _bands(source: Source, field: str) -> tuple[Band, ...]:
    """The bands of one field: those of the source, where its fields have none of their own."""
    own: dict[str, tuple[Band, ...]] = getattr(source, "field_bands", {})
    return own.get(field, source.bands)


def _in_blocks() -> list[KindName]:
    """The kinds that a packed store holds as blocks of bands."""
    return [name for name in kinds.names() if kinds.get(name).stored == "bands"]


def _little(dtype: str) -> str:
    found = np.dtype(dtype).newbyteorder("<").str
    if np.dtype(found).kind not in "iuf":
        raise DataError(f"values of type {dtype}, expected integers or floats")
    return found
