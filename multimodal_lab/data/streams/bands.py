"""What a modality YAML asks for: a stream cut from stored bands by name, wavelength or place, or from a column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from multimodal_lab.data import kinds
from multimodal_lab.data.kind import TRAINED, Kind, StreamPlan
from multimodal_lab.data.source import DataError, NoStream
from multimodal_lab.data.streams.map_names import OF_MAP, of_map
from multimodal_lab.data.streams.normalise import by_name
from multimodal_lab.files import file_hash
from multimodal_lab.pretrained.tokenizer import tokenizer_file
from multimodal_lab.text import MANY, expected_one_of, spanned
from multimodal_lab.types import Band, Stream

RESIZING = ("size", "resize", "resize_mode", "crop_pct", "resize_stored")
TIME = ("steps", "rate", "longer")
NORMALISING = ("normalise", "white_level")
OF_TEXT = ("vocab", "length", "tokens")
KEYS = ("kind", "bands", "repeat", "field", "pca", "role", *OF_TEXT, *OF_MAP, *TIME, *RESIZING, *NORMALISING)
KEPT = 256
_known: dict[tuple[int, int], tuple[Stream, Sequence[Band], list[int]]] = {}
RULES = ("every", "nm", "nearest", "index")


def plan(name: str, facts: dict[str, Any], bands: tuple[Band, ...]) -> StreamPlan:
    """Read one entry of a modality YAML; `DataError` names a wrong key or value."""
    stored = resolve(name, facts, bands)
    role = facts.get("role", "input")
    kind = kinds.of(stored)
    if role not in ("input", "target") or (role == "target" and not kind.producible):
        raise DataError(
            f"modality.{name}.role: {role!r}; a text stream may be input or target, a map is a target, all others are input"
        )
    text: dict[str, Any] = {k: facts[k] for k in ("vocab", "length") if k in facts}
    for key in OF_TEXT:
        if key in facts and key not in kind.keys:
            raise DataError(f"modality.{name}: {key} belongs to a text stream, this one is {stored.kind}")
    for key in ("pca", "vocab", "length", *(["steps"] if facts.get("steps") is not None else [])):
        if key in facts and (not isinstance(facts[key], int) or facts[key] < 1):
            raise DataError(f"modality.{name}.{key}: {facts[key]!r} is not a whole number from 1")
    text |= _of_tokens(name, facts, role)
    more = text | _of_time(name, facts, kind) | _of_network(name, facts, kind) | of_map(name, facts, kind)
    stored = replace(stored, steps=facts.get("steps"), rate=facts.get("rate"))
    return StreamPlan(stored, role == "target", facts.get("pca", 0), **more)


def _of_tokens(name: str, facts: dict[str, Any], role: str) -> dict[str, Any]:
    """What tokenizer a text has."""
    model = facts.get("tokens") or "word"
    if model in TRAINED:
        return {"model": model}
    if role == "target":
        raise DataError(
            f"modality.{name}.tokens: {model}, but what a head writes it writes by a tokenizer trained here; choose word or bpe"
        )
    file = tokenizer_file(model)
    return {"model": model, "tokenizer": file_hash(file) if file.is_file() else ""}


def _of_time(name: str, facts: dict[str, Any], kind: Kind) -> dict[str, Any]:
    """Whether a stream has a time axis, and what a longer recording does."""
    timed = "steps" in facts
    for key in TIME:
        if key in facts and not kind.steps:
            is_a = facts.get("kind", Stream.kind)
            raise DataError(f"modality.{name}: {key} belongs to a stream of bands, this one is {is_a}")
        if key in facts and not timed:
            raise DataError(
                f"modality.{name}: {key} without steps; steps=null gives it a time axis, as long as the training split's "
                "longest recording"
            )
    if facts.get("longer", "refuse") not in ("refuse", "cut"):
        raise DataError(f"modality.{name}.longer: {facts['longer']!r}; there are refuse, cut")
    return {"timed": timed, "longer": facts.get("longer", "refuse")}


def _of_network(name: str, facts: dict[str, Any], kind: Kind) -> dict[str, Any]:
    """What a network was trained to see: its size and its normalisation."""
    own = {k: facts[k] for k in RESIZING if facts.get(k) not in (None, False)}
    normalise = facts.get("normalise") or "train"
    for key, fits in (*((k, kind.spatial) for k in own), ("normalise", kind.learns_statistics or normalise == "train")):
        if not fits:
            what = "an image" if key in RESIZING else "a stream with bands"
            raise DataError(f"modality.{name}: {key} belongs to {what}, this one is {facts.get('kind', Stream.kind)}")
    return {"resize": own, "normalise": by_name(f"modality.{name}", normalise, facts.get("white_level"))}


def resolve(name: str, facts: dict[str, Any], bands: tuple[Band, ...]) -> Stream:
    """The stream that one entry of a modality YAML asks for, cut from the stored `bands`.

    facts: `kind` (see `kinds`), `bands` (see `select`), `repeat` (so many times), `field`. Sizes and statistics
    are filled in later, from the data. Raises `DataError` for an unknown key or kind, or a band that isn't there.
    """
    unknown = [k for k in facts if k not in KEYS]
    if unknown:
        raise DataError(f"modality.{name}: unknown key {unknown[0]!r}; {expected_one_of(unknown[0], KEYS)}")
    kind = facts.get("kind", Stream.kind)
    if kind not in kinds.names():
        raise DataError(f"modality.{name}.kind: {kinds.unknown(str(kind))}")
    field = facts.get("field") or ""
    if not kinds.get(kind).has_bands:
        if {"bands", "pca", "repeat"} & facts.keys():
            raise DataError(f"modality.{name}: a {kind} stream has no bands; name its column with `field`")
        return Stream(name, kind, field=field or name)
    if facts.get("bands") is None:
        raise DataError(f"modality.{name}: no `bands`; name them, or `bands: all`")
    chosen = select(facts["bands"], bands, f"modality.{name}.bands") * int(facts.get("repeat", 1))
    return Stream(name, kind, tuple(bands[i] for i in chosen), field=field)


def select(take: Any, bands: tuple[Band, ...], where: str = "bands") -> list[int]:
    """Places in `bands` that `take` asks for, in the order asked.

    bands: "all"; a list of names or shell patterns (`[R, G, "UV*"]`) or of places (`[0, 50, 100]`); `{every: n}`;
    `{nm: [[low, high], …]}`, low <= nm < high; `{nearest: [650, 550, 450]}` in nm; `{index: [places]}`.
    Raises `DataError` where nothing matches or a band would be taken twice.
    """
    if not bands:
        raise DataError(f"{where}: the data set has no bands to take from")
    if take == "all":
        return list(range(len(bands)))
    if isinstance(take, str):
        take = [take]
    if isinstance(take, dict):
        chosen = _by_rule(take, bands, where)
    elif take and all(isinstance(t, int) for t in take):
        chosen = _by_place(take, bands, where)
    else:
        chosen = [i for t in take for i in _by_name(str(t), bands, where)]
    if not chosen:
        raise DataError(f"{where}: {take} takes no band; there are {_listing(bands)}")
    twice = [bands[i].name for i in chosen if chosen.count(i) > 1]
    if twice:
        raise DataError(f"{where}: band {twice[0]} is taken twice by {take}")
    return chosen


def doubts(bands: Sequence[Band]) -> list[str]:
    """What to tell of stored bands of any source; two of one name are a `DataError`: they could not be told apart."""
    names = Counter(band.name for band in bands)
    if twice := [name for name, n in names.items() if n > 1]:
        raise DataError(
            f"data.source: two bands are called {twice[0]}; give each a name of its own in data.source.card"
        )
    at: dict[float, list[str]] = {}
    for band in bands:
        if band.nm is not None:
            at.setdefault(band.nm, []).append(band.name)
    alike = [f"{nm:g} nm ({', '.join(same)})" for nm, same in at.items() if len(same) > 1]
    notes = [f"warning: several bands have one wavelength: {', '.join(alike[:5])}"] if alike else []
    order = [*at]
    if len(order) > MANY and order not in (sorted(order), sorted(order, reverse=True)):
        notes.append("warning: the bands are not in order of wavelength, as ops and networks along the bands expect")
    return notes


def indices(stream: Stream, bands: Sequence[Band]) -> list[int]:
    """Where the bands of `stream` stand among the stored `bands`, by name; `DataError` names one that is absent.

    Answers are kept by identity: a reader asks the same of every sample, and 408 names take as long as their reading.
    """
    key = (id(stream), id(bands))
    known = _known.get(key)
    if known is None:
        if len(_known) > KEPT:
            _known.clear()
        known = _known[key] = (stream, bands, _indices(stream, bands))
    return known[2]


def need_kind(streams: Sequence[Stream], given: Sequence[str], where: str) -> None:
    """Refuse (`NoStream`) a stream of a kind that the reader of `where` can't give: none of `given`, nor stored as one."""
    for stream in streams:
        if stream.kind not in given and not any(kinds.alike(stream.kind, kind) for kind in given):
            raise NoStream(f"stream {stream.name}: {where} holds {' or '.join(given)} streams, not {stream.kind}")


def _indices(stream: Stream, bands: Sequence[Band]) -> list[int]:
    places = {band.name: i for i, band in enumerate(bands)}
    for band in stream.bands:
        if band.name not in places:
            raise DataError(f"stream {stream.name}: no band {band.name!r}; {expected_one_of(band.name, tuple(places))}")
    return [places[band.name] for band in stream.bands]


def _by_name(pattern: str, bands: tuple[Band, ...], where: str) -> list[int]:
    names = [band.name for band in bands]
    found = [names.index(pattern)] if pattern in names else [i for i, n in enumerate(names) if fnmatchcase(n, pattern)]
    if not found:
        raise DataError(f"{where}: no band matches {pattern!r}; {expected_one_of(pattern.strip('*?'), names)}")
    return found


def _by_place(places: Sequence[int], bands: tuple[Band, ...], where: str) -> list[int]:
    for i in places:
        if not 0 <= i < len(bands):
            raise DataError(f"{where}: no band at place {i}; there are {len(bands)}, 0 to {len(bands) - 1}")
    return list(places)


def _by_rule(rule: dict[str, Any], bands: tuple[Band, ...], where: str) -> list[int]:
    if len(rule) != 1 or next(iter(rule)) not in RULES:
        raise DataError(f"{where}: {rule} is not one rule; {expected_one_of(next(iter(rule), ''), RULES)}")
    key, value = next(iter(rule.items()))
    if key == "index":
        return _by_place(value, bands, where)
    if key == "every":
        if not isinstance(value, int) or value < 1:
            raise DataError(f"{where}.every: {value!r} is not a whole number from 1")
        return list(range(0, len(bands), value))
    nm = np.array([np.nan if band.nm is None else band.nm for band in bands])
    if np.isnan(nm).all():
        raise DataError(
            f"{where}.{key}: the bands of this data set have no wavelengths; take them by name: {_listing(bands)}"
        )
    return _regions(value, nm, where) if key == "nm" else [_closest(float(v), nm, where) for v in value]


def _regions(regions: Sequence[Sequence[float]], nm: np.ndarray, where: str) -> list[int]:
    chosen: list[int] = []
    for low, high in regions:
        inside = np.flatnonzero((nm >= low) & (nm < high))
        if not len(inside):
            raise DataError(
                f"{where}.nm: no band from {low} to {high} nm; they lie between {np.nanmin(nm):g} and {np.nanmax(nm):g}"
            )
        chosen += [int(i) for i in inside]
    return chosen


def _closest(wanted: float, nm: np.ndarray, where: str) -> int:
    known = np.sort(nm[~np.isnan(nm)])
    step = np.diff(known).max() if len(known) > 1 else 0.0
    if not known[0] - step <= wanted <= known[-1] + step:
        raise DataError(f"{where}.nearest: {wanted:g} nm is outside the bands, {known[0]:g} to {known[-1]:g} nm")
    return int(np.nanargmin(np.abs(nm - wanted)))


def _listing(bands: Sequence[Band]) -> str:
    return spanned([band.name for band in bands], "bands")
