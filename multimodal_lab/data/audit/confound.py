"""Labels that go together with how a sample was taken: a model may learn that instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from multimodal_lab.data.audit import association as stats
from multimodal_lab.data.audit.finding import Finding
from multimodal_lab.data.audit.names import classes, is_how, is_identity
from multimodal_lab.data.audit.parts import Parts, codes
from multimodal_lab.data.audit.view import View
from multimodal_lab.data.choose import BOOKKEEPING

SURE = 0.05  # p after Holm's correction over all pairs of a label and a column
STRONG = {"how": 0.3, "fact": 0.3, "other": 0.5}  # Cramér's V from which it is told
Role = Literal["how", "fact", "other"]


@dataclass(frozen=True)
class Column:
    """A classification of the samples. values (N,): classes, -1 where missing.

    role: `how` (batch, site, camera, day, presence of a modality: may void), `fact` of the file (its size and type), or
    `other`, a column of a meaning that its name doesn't tell, such as another label.
    """

    name: str
    values: np.ndarray
    role: Role


@dataclass(frozen=True)
class Pair:
    """A label with a column: Cramér's V, normalised information and p; `determined`: each value of it has one class."""

    label: str
    column: Column
    v: float
    information: float
    p: float
    determined: bool
    nested: bool
    alone: float
    usual: float
    seen: float
    tested: int


def confounds(
    parts: Parts, labels: Mapping[str, np.ndarray], columns: list[Column], seed: int = 0
) -> Iterator[Finding]:
    """Columns that tell a label: V at least .3 (.5 for a column of unknown meaning) and p, by Holm, at most .05.

    Void where the column says how the sample was taken, each of its values has one class only, and train has values of
    the test part: then a model can be right by the batch alone. A column whose values are all new in the test part tells
    nothing there, and isn't told; neither is one of unknown meaning that is a finer or coarser name of the label (a
    genus, a class number). Groups of the split count once. labels[name] (N,): classes, -1 where missing.
    """
    tried = [
        p
        for name, values in labels.items()
        for c in columns
        if c.name != name
        for p in _pair(parts, name, values, c, seed)
    ]
    for pair, p in zip(tried, _holm([t.p for t in tried])):
        if p <= SURE and pair.v >= STRONG[pair.column.role]:
            yield _told(pair, p)


def candidates(table: pd.DataFrame, view: View, parts: Parts, labels: list[str], skip: list[str]) -> list[Column]:
    """The columns to hold against the labels: of the table, of its files, and whether each modality is there."""
    found = []
    for name in classes(table, {*BOOKKEEPING, *skip, *([parts.by] if parts.by else [])}):
        if not is_identity(name):
            found.append(Column(name, codes(table[name]), "how" if is_how(name) and name not in labels else "other"))
    if {"height", "width"} <= set(table.columns):
        found.append(
            Column("image size", codes(table["height"].astype(str) + " x " + table["width"].astype(str)), "fact")
        )
    if "path" in table:
        found.append(
            Column("file type", codes(table["path"].astype(str).str.lower().str.extract(r"(\.\w+)$")[0]), "fact")
        )
    for name, seen in view.streams.items():
        found.append(Column(f"presence of {name}", seen.present.astype(np.int64), "how"))
    return [c for c in found if len(np.unique(c.values[c.values >= 0])) > 1]


def _pair(parts: Parts, name: str, values: np.ndarray, column: Column, seed: int) -> Iterator[Pair]:
    rows = np.flatnonzero((values >= 0) & (column.values >= 0) & (parts.home >= 0))
    label, other = values[rows], column.values[rows]
    counts = stats.table(label, other)
    if min(counts.shape, default=0) < 2:
        return
    determined, nested = bool(((counts > 0).sum(0) == 1).all()), bool(((counts > 0).sum(1) == 1).all())
    if column.role == "other" and (determined or nested):
        return
    test, train = (np.flatnonzero(np.isin(rows, parts.rows(p))) for p in ("test", "train"))
    alone, usual, seen = stats.told(label, other, train, test)
    if seen == 0:
        return
    label, other, units = _once(label, other, parts.groups[rows])
    counts = stats.table(label, other)
    v = stats.cramers_v(counts)
    if v < STRONG[column.role]:  # its p counts in the correction, and can't be told
        yield Pair(name, column, v, 0.0, 1.0, determined, nested, alone, usual, seen, len(test))
        return
    p = stats.chance(label, other, units, seed)
    yield Pair(
        name, column, v, stats.normalised_information(counts), p, determined, nested, alone, usual, seen, len(test)
    )


def _once(label: np.ndarray, other: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Each group with each of its values once, where the label is one within every group; and the groups, if needed."""
    order = np.lexsort((label, groups))
    same_group = groups[order][1:] == groups[order][:-1]
    if (label[order][1:] != label[order][:-1])[same_group].any():
        return label, other, None
    kept = np.unique(np.stack([groups, other]), axis=1, return_index=True)[1]
    own = groups[kept]
    return label[kept], other[kept], None if len(np.unique(own)) == len(own) else own


def _told(pair: Pair, p: float) -> Finding:
    how, column = pair.column.role == "how", pair.column.name
    by = f"{column} alone gives {pair.label} of {pair.alone:.0%} of test (the most frequent class {pair.usual:.0%})"
    numbers = f"Cramér's V {pair.v:.2f}, normalised information {pair.information:.2f}, p {p:.2g}"
    what = (
        f"each value of {column} has one {pair.label} only" if pair.determined else f"{pair.label} goes with {column}"
    )
    void = how and pair.determined
    means = "a model that knows the one is right on the other" if void else "part of a score may be read off it"
    remedy = _remedy(pair.column)
    count = round(pair.seen * pair.tested)
    return Finding(
        "confounded label", f"{pair.label} × {column}", f"{what}: {by}; {numbers}; {means}; {remedy}", void, count
    )


def _remedy(column: Column) -> str:
    if column.name.startswith("presence of "):
        return f"take samples that have {column.name.removeprefix('presence of ')}, or drop it for all alike"
    if column.role == "fact":
        return "bring all files to one size and type before"
    return f"compare within one {column.name}, or hold whole ones out (data.split.by={column.name})"


def _holm(p: list[float]) -> list[float]:
    """Holm's step-down correction (1979)."""
    order = np.argsort(p, kind="stable")
    found = np.ones(len(p))
    worst = 0.0
    for place, i in enumerate(order):
        worst = max(worst, min(1.0, (len(p) - place) * p[i]))
        found[i] = worst
    return [float(x) for x in found]
