"""The rows of a joined source: which row of each source has an id, and one table out of all tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Literal

import numpy as np
import pandas as pd

from multimodal_lab.data.readers.members import Member, below, column, listed, same
from multimodal_lab.data.readers.name_match import SUFFIX
from multimodal_lab.data.readers.tables import require_column
from multimodal_lab.data.source import DataError
from multimodal_lab.text import some

STEM = "stem"
OWN = ("id", "path")
PLACES = (
    "height",
    "width",
    "row",
    "column",
    "top",
    "left",
    "tiles",
)  # of one source's files: of the first that has them
Missing = Literal["keep", "drop", "refuse"]
Rows = Mapping[str, np.ndarray]


def join(sources: Mapping[str, Member], on: Mapping[str, str], missing: Missing) -> tuple[list[str], Rows, str]:
    """The ids, in the order of the first source, then of the next; {source: (N,) its row, -1 where it has none}; a note."""
    found = {name: _places(member, on.get(name, "id")) for name, member in sources.items()}
    every = list(dict.fromkeys(i for places in found.values() for i in places))
    both = [i for i in every if all(i in places for places in found.values())]
    lacking = {name: [i for i in every if i not in places] for name, places in found.items()}
    names = ", ".join(found)
    said = f"{len(both)} of {len(every)} ids stand in all of {names}"
    said += "".join(f"; {name} lacks {listed(ids)}" for name, ids in lacking.items() if ids)
    if not both:
        examples = " and ".join(f"{next(iter(places), 'none')!r} in {name}" for name, places in found.items())
        raise DataError(f"data.source.key: no id stands in all of {names}, such as {examples}; expected ids that match")
    if len(both) < len(every) and missing == "refuse":
        raise DataError(
            f"data.source.missing=refuse: {said}; keep makes their streams missing, drop leaves these rows out"
        )
    ids = both if missing == "drop" else every
    rows = {name: np.array([places.get(i, -1) for i in ids], dtype=np.int64) for name, places in found.items()}
    return ids, rows, f"joined: {said}" + ("; the others are left out" if len(ids) < len(every) else "")


def joined_table(
    sources: Mapping[str, Member], ids: Sequence[str], rows: Rows, leave_out: Mapping[str, list[str]], root: str | None
) -> pd.DataFrame:
    """Every column of every source, by its name; those of one source's own things with its name before."""
    shared: dict[str, list[str]] = {}
    apart: dict[str, pd.Series] = {}
    for name, member in sources.items():
        for c in map(str, member.table.columns):
            if c in member.apart:
                apart[f"{name}.{c}"] = column(_values(member, rows[name], c), [member.table[c].dtype])
            elif c not in OWN and c not in leave_out.get(name, ()):
                shared.setdefault(c, []).append(name)
    made = {
        c: _shared({n: sources[n] for n in (names[:1] if c in PLACES else names)}, c, ids, rows)
        for c, names in shared.items()
    }
    return pd.DataFrame({"id": ids, "path": _paths(sources, len(ids), rows, root), **made, **apart})


def _places(member: Member, on: str) -> dict[str, int]:
    """{id: row} of one source; a row without an id, or an id in two rows, is a `DataError`."""
    table, key = member.table, "data.source.key"
    if on == STEM and STEM not in table:
        ids = [SUFFIX.sub("", PurePosixPath(str(i)).name) for i in table["id"]]
    else:
        require_column(table, on, member.name, key)
        empty = table[on].isna()
        if empty.any():
            said = f"{listed(table['id'][empty].tolist())} of {len(table)} rows of {member.name}"
            raise DataError(f"{key}: {said} have no {on}")
        ids = [str(v) for v in table[on]]
    twice = [i for i, n in Counter(ids).items() if n > 1]
    if twice:
        own = [str(table["id"].iloc[r]) for r, i in enumerate(ids) if i == twice[0]]
        said = f"{on} {twice[0]!r} stands in {len(own)} rows of {member.name} ({some(own)})"
        more = f", and {len(twice) - 1} others do" if len(twice) > 1 else ""
        raise DataError(f"{key}: {said}{more}; expected each id once in a source")
    return {i: row for row, i in enumerate(ids)}


def _values(member: Member, rows: np.ndarray, label: str) -> list[Any]:
    """A column of one source by joined row, None where it has none."""
    own = member.table[label].tolist()
    return [own[row] if row >= 0 else None for row in rows.tolist()]


def _shared(sources: Mapping[str, Member], label: str, ids: Sequence[str], rows: Rows) -> pd.Series:
    """One column out of those of this name; two values of one row that differ are a `DataError`."""
    made: list[Any] = [None] * len(ids)
    home = [""] * len(ids)
    wrong: list[tuple[int, str, Any]] = []
    for name, member in sources.items():
        values = column(_values(member, rows[name], label), [])
        for i in np.flatnonzero(values.notna()).tolist():
            if made[i] is None:
                made[i], home[i] = values[i], name
            elif not same(made[i], values[i]):
                wrong.append((i, name, values[i]))
    if wrong:
        i, name, value = wrong[0]
        more = f" ({len(wrong)} such ids)" if len(wrong) > 1 else ""
        raise DataError(
            f"data.source: {label} of {ids[i]!r} is {made[i]!r} in {home[i]} and {value!r} in {name}{more}; correct it, or "
            f"leave one out: data.source.leave_out={{{name}: [{label}]}}"
        )
    return column(made, [member.table[label].dtype for member in sources.values()])


def _paths(sources: Mapping[str, Member], count: int, rows: Rows, root: str | None) -> list[Any]:
    """The file of each row, for messages: that of the first source that has one."""
    found: list[Any] = [None] * count
    for name, member in reversed(list(sources.items())):
        own = member.table["path"].tolist() if "path" in member.table else []
        for i, row in enumerate(rows[name].tolist() if own else ()):
            if row >= 0:
                found[i] = below(root, member, own[row])
    return found
