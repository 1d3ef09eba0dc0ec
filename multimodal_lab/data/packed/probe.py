"""Probe a source for what it can provide: record parts, image fields, texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from multimodal_lab.data import kinds
from multimodal_lab.data.packed.format import Part
from multimodal_lab.data.source import DataError, NoStream, Raw, Source
from multimodal_lab.data.streams.resize import Resize
from multimodal_lab.data.streams.source_bands import every_band
from multimodal_lab.types import Band, KindName, Stream

NOWHERE = "\0"  # a field that no data set has


@dataclass
class Offer:
    """parts: the blocks of a record, the mask last if there is one. fields: {kind: what `Stream.field` may say}, where
    `any` takes whatever it says for the `default`, but for the `names`. texts: columns that text streams can be cut from. bands:
    of the store, those of all fields. rate: Hz that the source is to bring recordings to, None as they are stored. scaled: fields
    whose frames the source has scaled down to `resize` as it decoded them."""

    bands: tuple[Band, ...] = ()
    rate: float | None = None
    parts: list[Part] = field(default_factory=list)
    fields: dict[str, dict[str, Any]] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    scaled: list[str] = field(default_factory=list)
    resize: dict[str, Any] = field(default_factory=dict)


def probe(source: Source, resize: Resize | None = None, rate: float | None = None) -> Offer:
    """Ask a source for single bands of every kind and field, until the type of each is known.

    resize: what brings images to size later: told to a source that scales frames down as it decodes them. A band that no
    sample has is left out. Raises what the source raises if it gives neither arrays nor texts, or not a field that it has.
    """
    offer = Offer(bands=every_band(source), rate=rate, scaled=list(getattr(source, "scaled_fields", ())))
    if resize is not None and offer.scaled:
        offer.resize = resize.keys()
        _tell(source, offer, resize)
    refused: dict[str, Exception] = {}
    for kind in _in_blocks() if offer.bands else ():
        if any(kinds.alike(kind, other) for other in offer.fields):
            continue  # the same values by another name
        names = _fields(source, offer, kind, refused)
        if names is not None:
            offer.fields[kind] = names
    for column in (c for c in map(str, source.samples.columns) if c not in getattr(source, "members", ())):
        # A column is packed unchanged in the table, whatever kind reads it later: to ask for its text is enough.
        raw = _gives(source, Stream("x", "text", field=column), {})
        if raw is not None and isinstance(raw.inputs["x"], str | list | None):
            offer.texts.append(column)
    given = {name for names in offer.fields.values() for name in names["names"]}
    for name in (n for n in _declared(source) if n in refused and n not in given):
        raise refused[name]  # a field that is there, and can't be read as it is
    if offer.bands and not offer.fields and refused:
        raise min(
            refused.values(), key=lambda error: isinstance(error, NoStream)
        )  # what is wrong with a file tells more
    offer.parts = _parts(source, offer)
    return offer


def single(kind: KindName, name: str, offer: Offer, places: Sequence[int]) -> list[Stream]:
    """A stream for each band alone."""
    return [Stream(f"{kind} {name} {i}", kind, (offer.bands[i],), field=name, rate=offer.rate) for i in places]


def together(part: Part, offer: Offer, name: str) -> Stream:
    """All bands of a part as one stream called `name`."""
    return Stream(name, part.kind, tuple(offer.bands[i] for i in part.bands), field=part.field, rate=offer.rate)


def _fields(source: Source, offer: Offer, kind: KindName, refused: dict[str, Exception]) -> dict[str, Any] | None:
    """What `Stream.field` may say of a kind; None where the source has nothing of it."""
    known: Mapping[str, tuple[KindName, bool]] = getattr(source, "field_kinds", {})

    def gives(name: str) -> bool:
        if name in known:
            return kinds.alike(known[name][0], kind)
        stream = Stream("x", kind, _bands(source, offer, name)[:1], field=name, rate=offer.rate)
        raw = _gives(source, stream, refused)
        x = None if raw is None else raw.inputs["x"]
        return raw is not None and (x is None or _steps(kind, x) is not None)

    declared = _declared(source)
    if gives(NOWHERE):
        own = [name for name in declared if not set(_bands(source, offer, name)) <= set(source.bands) and gives(name)]
        return {"any": True, "names": ["", *own], "default": ""}
    names = [c for c in declared or map(str, source.samples.columns) if c and gives(c)]
    alone = gives("")
    if not names and not alone:
        return None
    return {"any": False, "names": names or [""], "default": (names or [""])[0] if alone else None}


def _declared(source: Source) -> list[str]:
    """The fields that a source says it has bands of; of others every column may be one."""
    return [str(name) for name in getattr(source, "field_bands", ())]


def _gives(source: Source, stream: Stream, refused: dict[str, Exception]) -> Raw | None:
    """What the first row gives of a stream; None where it refuses, with the reason unless it is that there is no such stream."""
    try:
        return source.read(0, [stream])
    except NoStream as error:
        refused.setdefault("", error)
    except Exception as error:  # a reader says in its own way that it has no such stream, or that a file is bad
        refused[stream.field] = error
    return None


def _tell(source: Source, offer: Offer, resize: Resize) -> None:
    """Tell a source what brings frames to size, by all names that it will be asked by."""
    one = [
        s.name
        for kind in _in_blocks()
        for n in _declared(source)
        for s in single(kind, n, offer, range(len(offer.bands)))
    ]
    whole = map(str, range(len(one)))  # at the most a part a band of a field
    source.to_size(dict.fromkeys([*one, *whole], resize))  # type: ignore[attr-defined]  # see `Source`


def _parts(source: Source, offer: Offer) -> list[Part]:
    waiting = [
        stream
        for kind in _in_blocks()
        for name in (offer.fields[kind]["names"] if kind in offer.fields else ())
        for stream in single(kind, name, offer, [offer.bands.index(b) for b in _bands(source, offer, name)])
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


def _bands(source: Source, offer: Offer, field: str) -> tuple[Band, ...]:
    """The bands of one field: those of the source, where its fields have none of their own."""
    own: dict[str, tuple[Band, ...]] = getattr(source, "field_bands", {})
    return own.get(field, source.bands or offer.bands)


def _in_blocks() -> list[KindName]:
    """The kinds that a packed store holds as blocks of bands."""
    return [name for name in kinds.names() if kinds.get(name).stored == "bands"]


def _little(dtype: str) -> str:
    found = np.dtype(dtype).newbyteorder("<").str
    if np.dtype(found).kind not in "iuf":
        raise DataError(f"values of type {dtype}, expected integers or floats")
    return found
