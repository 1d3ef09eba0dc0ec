"""Labels confounded with acquisition conditions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from multimodal_lab.data.audit import association, regroup
from multimodal_lab.data.audit.column_names import classes, is_how, is_identity, same_meaning
from multimodal_lab.data.audit.finding import Finding
from multimodal_lab.data.audit.membership import Parts
from multimodal_lab.data.audit.view import View
from multimodal_lab.data.split.auto import BOOKKEEPING

SURE = 0.05  # p after Holm's correction over all pairs of a label and a column
TOLD = {"how": 0.1, "presence": 0.3, "fact": 0.3, "other": 0.5}  # Cramér's V from which it is reported
STRONG = 0.3  # and from which `how` voids
KNOWN = 0.1  # share of the test part whose value train has, below which it doesn't
Role = Literal["how", "presence", "fact", "other"]


@dataclass(frozen=True)
class Column:
    """A classification of the samples. values (N,): places in `names`, -1 where missing.

    role: `how` (batch, site, camera, day: may void), `presence` of a modality, `fact` of the file (its size and type), or
    `other`, a column of a meaning that its name doesn't tell, such as another label.
    """

    name: str
    values: np.ndarray
    names: Sequence[str]
    role: Role


@dataclass(frozen=True)
class Pair:
    """A label with a column: Cramér's V, normalised information and p.

    determined: each value of the column has one class; nested: each class has one value; alone, usual, seen: see
    `association.told`; tested: test samples; pure: share of all samples whose value has one class only, and `mixed` what
    can be compared within: the value of most classes, of these that of most samples.
    """

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
    pure: float
    mixed: str


def confounds(
    parts: Parts, labels: Mapping[str, np.ndarray], columns: list[Column], seed: int = 0
) -> Iterator[Finding]:
    """Columns that tell a label, with p, by Holm, at most .05.

    Void where the column says how the sample was taken, V is at least .3, and train has the values of a tenth of the test
    part: then a model scores by the batch, and what a modality knows of the label cannot be distinguished from what it knows of
    that. (V of .3 is 65 % right for two classes in two equal batches.) Below that, from .1 on, it warns. Presence of a
    modality voids where it tells the label without fail: samples that lack one are in no comparison. Facts of files warn
    from .3, columns of unknown meaning from .5. A column whose values are all new in the test part tells nothing there,
    and isn't told; neither is a finer or coarser name of the same: of a label that is itself a place or batch any, of others
    what is coarser (a genus), or is named so (a class number). Groups of the split count once. labels[name] (N,): classes, -1
    where missing.
    """
    tried = [
        p
        for name, values in labels.items()
        for c in columns
        if c.name != name
        for p in _pair(parts, name, values, c, seed)
    ]
    for pair, p in zip(tried, _holm([t.p for t in tried])):
        if p <= SURE and pair.v >= TOLD[pair.column.role]:
            yield _told(pair, p, parts)


def candidates(table: pd.DataFrame, view: View, parts: Parts, skip: list[str]) -> list[Column]:
    """The columns to hold against the labels: of the table, of its files, and whether each modality is there."""
    found = []
    for name in classes(table, {*BOOKKEEPING, *skip, *parts.by}):
        if not is_identity(name):
            found.append(_column(name, table[name], "how" if is_how(name) else "other"))
    if {"height", "width"} <= set(table.columns):
        sizes = table["height"].astype(str) + " x " + table["width"].astype(str)
        found.append(_column("image size", sizes, "fact"))
    if "path" in table:
        types = table["path"].astype(str).str.lower().str.extract(r"(\.\w+)$")[0]
        found.append(_column("file type", types, "fact"))
    for name, seen in view.streams.items():
        found.append(Column(f"presence of {name}", seen.present.astype(np.int64), ("no", "yes"), "presence"))
    return [c for c in found if len(np.unique(c.values[c.values >= 0])) > 1]


def _column(name: str, values: pd.Series, role: Role) -> Column:
    found, names = pd.factorize(values.astype(object).where(values.notna(), None))
    return Column(name, np.asarray(found, dtype=np.int64), [str(n) for n in names], role)


def _pair(parts: Parts, name: str, values: np.ndarray, column: Column, seed: int) -> Iterator[Pair]:
    rows = np.flatnonzero((values >= 0) & (column.values >= 0) & (parts.home >= 0))
    label, other = values[rows], column.values[rows]
    counts = association.table(label, other)
    if min(counts.shape, default=0) < 2:
        return
    determined, nested = bool(((counts > 0).sum(0) == 1).all()), bool(((counts > 0).sum(1) == 1).all())
    if is_how(name) and (determined or nested):
        return
    if column.role == "other" and (nested if not determined else same_meaning(name, column.name)):
        return
    there = counts > 0
    pure = float(counts[:, there.sum(0) == 1].sum() / counts.sum())
    most = int(np.lexsort((counts.sum(0), there.sum(0)))[-1])
    mixed = f"{column.names[np.unique(other)[most]]} ({counts[:, most].sum():,} samples)"
    test, train = (np.flatnonzero(np.isin(rows, parts.rows(p))) for p in ("test", "train"))
    alone, usual, seen = association.score_alone(label, other, train, test)
    if seen == 0:
        return
    label, other, units = _once(label, other, parts.groups[rows])
    counts = association.table(label, other)
    v = association.cramers_v(counts)
    told = v >= TOLD[column.role]  # else its p counts in the correction, and can't be reported
    p = association.chance(label, other, units, seed) if told else 1.0
    information = association.normalised_information(counts) if told else 0.0
    yield Pair(name, column, v, information, p, determined, nested, alone, usual, seen, len(test), pure, mixed)


def _once(label: np.ndarray, other: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Each group with each of its values once, where the label is one within every group; and the groups, if needed."""
    order = np.lexsort((label, groups))
    same_group = groups[order][1:] == groups[order][:-1]
    if (label[order][1:] != label[order][:-1])[same_group].any():
        return label, other, None
    kept = np.unique(np.stack([groups, other]), axis=1, return_index=True)[1]
    own = groups[kept]
    return label[kept], other[kept], None if len(np.unique(own)) == len(own) else own


def _told(pair: Pair, p: float, parts: Parts) -> Finding:
    column, label = pair.column.name, pair.label
    certain = pair.determined and pair.column.role == "presence"
    void = certain or (pair.column.role == "how" and pair.v >= STRONG and pair.seen >= KNOWN)
    if pair.determined:
        what = f"each value of {column} has one {label} only"
    else:
        share = f" ({pair.pure:.0%} of samples have a {column} with one {label} only)" if pair.pure else ""
        what = f"{label} goes with {column}{share}"
    by = f"{column} alone gives {label} of {pair.alone:.0%} of test (the most frequent class {pair.usual:.0%})"
    numbers = f"Cramér's V {pair.v:.2f}, normalised information {pair.information:.2f}, p {p:.2g}"
    means = (
        f"what is known of {label} can't be told from what is known of {column}"
        if void
        else "part of a score may be read off it"
    )
    sentence = f"{what}: {by}; {numbers}; {means}; {_remedy(pair, parts)}"
    return Finding("confounded label", f"{label} × {column}", sentence, void, round(pair.seen * pair.tested), (), label)


def _remedy(pair: Pair, parts: Parts) -> str:
    column = pair.column.name
    if pair.column.role == "presence":
        return f"take samples that have {column.removeprefix('presence of ')}, or drop it for all alike"
    if pair.column.role == "fact":
        return "bring all files to one size and type before"
    if pair.column.role == "other" and pair.determined:
        return f"unless it is another name of {pair.label}, hold whole ones out ({regroup.typed(parts, column)})"
    one = f"one {column}" if pair.determined else f"one {column}, such as {pair.mixed}"
    return f"compare within {one}, or hold whole ones out ({regroup.typed(parts, column)})"


def _holm(p: list[float]) -> list[float]:
    """Holm's step-down correction (1979)."""
    order = np.argsort(p, kind="stable")
    found = np.ones(len(p))
    worst = 0.0
    for place, i in enumerate(order):
        worst = max(worst, min(1.0, (len(p) - place) * p[i]))
        found[i] = worst
    return [float(x) for x in found]
