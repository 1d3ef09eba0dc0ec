"""The table of a mixed source: the rows of all sets, one column for each name, and which rows hold the same thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from multimodal_lab.data.readers.members import Member, below, column
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.same_image import SAME
from multimodal_lab.text import some
from multimodal_lab.types import Band

SOURCE = "source"  # the column that names the set of a row
ITEM = "item."  # before the name of a field: the column of what its streams hold
OWN = ("id", "path", SOURCE)
PLACES = ("block", "tiles")  # of one set's own files


def mixed_table(
    sources: Mapping[str, Member], root: str | None, apart: Sequence[str]
) -> tuple[pd.DataFrame, list[str]]:
    """The rows of the sets one below another, and what to tell of columns whose types differ."""
    every = dict.fromkeys(str(c) for m in sources.values() for c in m.table.columns if c not in OWN)
    for name, member in sources.items():
        if clash := [c for c in (SOURCE, SAME) if c in member.table and c != getattr(member.source, "together", None)]:
            raise DataError(f"data.source: {name} has a column {clash[0]!r}, which is the mixture's own; rename it")
    for label in apart:
        if label not in every:
            raise DataError(f"data.source.apart: no column {label!r} in {', '.join(sources)}")
    told: list[str] = []
    made: dict[str, Any] = {
        "id": [f"{name}/{i}" for name, m in sources.items() for i in m.table["id"]],
        "path": [below(root, m, path) for m in sources.values() for path in _of(m, "path")],
        SOURCE: [name for name, m in sources.items() for _ in range(len(m.table))],
    }
    made |= {c: _mixed(sources, c, [*apart, *PLACES], told) for c in every if c != SAME}
    table = pd.DataFrame(made)
    if any(getattr(m.source, "together", None) for m in sources.values()):
        groups = [_named(name, m, getattr(m.source, "together", None) or "id") for name, m in sources.items()]
        table[SAME] = [value for values in groups for value in values]
    return _with_items(table, sources), told


def united(of: Mapping[str, tuple[Band, ...]]) -> tuple[tuple[Band, ...], list[str]]:
    """The bands of all sets by name, the first set's facts of each, and a note on facts that differ."""
    found: dict[str, Band] = {}
    home: dict[str, str] = {}
    other: list[str] = []
    for name, bands in of.items():
        for band in bands:
            first = found.setdefault(band.name, band)
            if first != band:
                shown = " and ".join(f"{_facts(b)} in {n}" for b, n in ((first, home[band.name]), (band, name)))
                other.append(f"{band.name} ({shown})")
            home.setdefault(band.name, name)
    note = f"bands of one name that differ are taken for one: {some(other)}"
    return tuple(found.values()), [note] if other else []


def _facts(band: Band) -> str:
    return (
        ", ".join([*([f"{band.nm:g} nm"] if band.nm is not None else []), *([band.unit] if band.unit else [])])
        or "no facts"
    )


def _of(member: Member, label: str) -> list[Any]:
    """A column of one set, None where it has none."""
    return member.table[label].tolist() if label in member.table else [None] * len(member.table)


def _named(name: str, member: Member, label: str) -> list[Any]:
    """A column of one set whose values are that set's own."""
    return [None if v is None or v != v else f"{name}/{v}" for v in _of(member, label)]


def _mixed(sources: Mapping[str, Member], label: str, apart: Sequence[str], told: list[str]) -> pd.Series:
    """One column of all sets, missing where a set has none; classes stay classes, numbers numbers."""
    if label in apart:
        parts = [_named(n, m, label if label in m.table or label not in PLACES else "id") for n, m in sources.items()]
        return column([v for part in parts for v in part], [])
    types = {
        name: m.table[label].dtype for name, m in sources.items() if label in m.table and m.table[label].notna().any()
    }
    floats = [name for name, t in types.items() if pd.api.types.is_float_dtype(t)]
    whole = [name for name, t in types.items() if pd.api.types.is_integer_dtype(t)]
    if floats and len(floats) + len(whole) < len(types):
        text = next(name for name in types if name not in (*floats, *whole))
        raise DataError(
            f"data.source: {label} holds numbers in {floats[0]} and text in {text}; expected one of the two"
        )
    if floats and whole:
        told.append(f"{label} is a number, as in {floats[0]}, though {whole[0]} has whole numbers alone")
    return column([v for m in sources.values() for v in _of(m, label)], list(types.values()))


def _with_items(table: pd.DataFrame, sources: Mapping[str, Member]) -> pd.DataFrame:
    """The table with a column for every field whose streams repeat, and for that of no name where each set has but one."""
    own = {name: dict(getattr(m.source, "items", None) or {}) for name, m in sources.items()}
    made = {
        f: _items(sources, {n: of.get(f) for n, of in own.items()})
        for f in dict.fromkeys(f for of in own.values() for f in of)
    }
    if made and all(len(of) <= 1 for of in own.values()):
        made[""] = _items(sources, {n: next(iter(of.values()), None) for n, of in own.items()})
    return table.assign(**{f"{ITEM}{field}": values for field, values in made.items()})


def _items(sources: Mapping[str, Member], columns: Mapping[str, str | None]) -> list[Any]:
    """What each row holds, by one column of each set; None in a set that has none."""
    found: list[Any] = []
    for name, member in sources.items():
        own = columns[name]
        found += [None] * len(member.table) if own is None else _named(name, member, own)
    return found
