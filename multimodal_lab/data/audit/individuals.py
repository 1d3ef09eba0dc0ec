"""Whether a column's values are individuals, judged by what their rows have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from multimodal_lab.data.audit import association
from multimodal_lab.data.audit.membership import Parts

FEW = 15  # rows of a value, in the median
VALUES = 8  # at least
HELD = 0.9  # of the way from the agreement of any two rows to that of all
SURE = 0.005  # p
SMOOTH = 0.5  # of the same way, for neighbouring numbers
REGULAR = 0.5  # variance over mean of the counts, from which they are those of chance
WORDS = 4  # of a caption


@dataclass(frozen=True)
class Held:
    """A label that rows of one value share: in `pairs` of pairs of rows, where `by_chance` of any two rows do."""

    label: str
    pairs: float
    by_chance: float


def few_rows(values: np.ndarray, parts: Parts) -> bool:
    """Whether many values have few rows each. values (N,): integers from 0, -1 for none."""
    counts = _counts(values[parts.home >= 0])
    return len(counts) >= VALUES and bool(np.median(counts) <= FEW) and bool(counts.max() > 1)


def held(
    values: np.ndarray, parts: Parts, labels: Mapping[str, np.ndarray], apart: Sequence[np.ndarray] = ()
) -> Held | None:
    """The label that the rows of one value share as those of one individual do; None where they share none.

    Nine tenths of the way from what any two rows share to all, with p of at most .005 (a permutation), by at least two values a
    class: else they are classes themselves. apart: classifications (N,) whose rows count once a value: what images of one known
    individual, or of one group of the split, share says nothing of others.
    """
    for name, label in labels.items():
        found = [_held(name, values, label, parts, own) for own in (apart or [np.arange(len(values))])]
        if all(found):
            return found[0]
    return None


def _held(name: str, values: np.ndarray, label: np.ndarray, parts: Parts, apart: np.ndarray) -> Held | None:
    rows = np.flatnonzero((values >= 0) & (label >= 0) & (parts.home >= 0))
    rows = rows[np.unique(np.stack([values[rows], apart[rows]]), axis=1, return_index=True)[1]]
    if len(rows) < 2 or len(np.unique(values[rows])) < 2 * len(np.unique(label[rows])):
        return None
    counts = association.table(values[rows], label[rows])
    pairs, classes = _pairs(counts.sum(1)), counts.sum(0)
    by_chance = _pairs(classes) / _pairs(np.array([classes.sum()]))
    if not pairs or by_chance == 1 or _share(_pairs(counts) / pairs, by_chance) < HELD:
        return None
    if association.chance(label[rows], values[rows]) > SURE:
        return None
    return Held(name, _pairs(counts) / pairs, by_chance)


def measured(column: pd.Series, values: np.ndarray, labels: Mapping[str, np.ndarray]) -> bool:
    """Whether values are numbers or dates measured, not given: neighbours share the label too, in counts as by chance.

    A column of integers may be a size or a time of day; its equal values go with a label as its near ones do.
    """
    if not (pd.api.types.is_numeric_dtype(column) or _dates(column)):
        return False
    counts = _counts(values)
    if counts.var() < REGULAR * counts.mean():  # as many photographs of each
        return False
    order = np.argsort(column.iloc[np.unique(values[values >= 0], return_index=True)[1]].to_numpy(), kind="stable")
    return any(_smooth(values, label, order) for label in labels.values())


def caption(column: pd.Series) -> bool:
    """Whether a column's values are texts of several words."""
    known = column.dropna()
    return bool(len(known)) and float(known.astype(str).map(lambda text: len(text.split())).mean()) >= WORDS


def _smooth(values: np.ndarray, label: np.ndarray, order: np.ndarray) -> bool:
    rows = np.flatnonzero((values >= 0) & (label >= 0))
    if not len(rows):
        return False
    table = np.zeros((values.max() + 1, label.max() + 1), dtype=np.int64)
    np.add.at(table, (values[rows], label[rows]), 1)
    usual = table[order][table[order].sum(1) > 0].argmax(1)
    classes = np.bincount(usual)
    if len(usual) < 2 or (classes > 0).sum() < 2:
        return False
    by_chance = _pairs(classes) / _pairs(np.array([classes.sum()]))
    return _share(float((usual[1:] == usual[:-1]).mean()), by_chance) >= SMOOTH


def _dates(column: pd.Series) -> bool:
    texts = column.dropna().astype(str)
    return bool(texts.str.fullmatch(r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}(?:[T ].*)?|\d{1,2}:\d{2}(?::.*)?").mean() > 0.9)


def _counts(values: np.ndarray) -> np.ndarray:
    return np.unique(values[values >= 0], return_counts=True)[1]


def _pairs(counts: np.ndarray) -> float:
    return float((counts * (counts - 1)).sum() / 2)


def _share(found: float, by_chance: float) -> float:
    return (found - by_chance) / (1 - by_chance)
