"""What to split by instead: the columns that keep the groups of the split, and what crosses it, in one part."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from multimodal_lab.data.audit.membership import Crossing, Parts
from multimodal_lab.data.split import linked
from multimodal_lab.data.split.auto import BOOKKEEPING


def cure(parts: Parts, *columns: str) -> str:
    """`data.split.by=[individual,site] keeps each in one part`: the split's columns and these, but for those that others keep.

    Where they link most samples into one group it says so, and what gives more.
    """
    named = linked.needed(parts.samples, [*parts.by, *columns])
    groups = linked.names(parts.samples, named)
    if (share := linked.largest(groups)) > linked.GIANT:
        there = f"{linked.typed(named)} would, but links {share:.0%} of the samples into one group"
        return f"{there}; {linked.way_out(parts.samples, named)}" if len(named) > 1 else there
    return f"{linked.typed(named)} keeps each in one part"


def of_copies(found: Crossing, labels: Collection[str]) -> str:
    """What to do about equal samples: the column in which all of them are equal, too, keeps them together.

    Of several such columns that of most values, and rather none of fractions, such as a length in seconds. labels: none of these,
    and none that a label's class says, such as its number: it would hold whole classes out.
    """
    table, parts = found.parts.samples, found.parts
    one_each = "keep one of each, or give copies one group"
    best: tuple[bool, int, str] | None = None
    for column in map(str, table.columns):
        if column in {*BOOKKEEPING, *labels, *parts.by}:
            continue
        known, values = linked.known(table[column]), linked.as_text(table[column])
        if not known[found.held].all() or (values[found.held] != values[found.first]).any():
            continue
        if any(_says(linked.as_text(table[label]), values) for label in labels if label in table):
            continue
        rank = (not pd.api.types.is_float_dtype(table[column]), len(np.unique(values[known])), column)
        best = rank if best is None else max(best, rank)
    return f"{one_each} (data.split.by)" if best is None else f"{one_each}: {cure(parts, best[2])}"


def _says(label: np.ndarray, values: np.ndarray) -> bool:
    """Whether all samples of a class have one value."""
    return bool((pd.Series(values).groupby(label).nunique() <= 1).all())


def typed(parts: Parts, column: str) -> str:
    """`data.split.by=[individual,site]`: what holds whole values of the column out, with the groups of the split."""
    named = linked.needed(parts.samples, [*parts.by, column])
    share = linked.largest(linked.names(parts.samples, named)) if len(named) > 1 else 0.0
    return linked.typed(named) + (
        f", which links {share:.0%} of the samples into one group" if share > linked.GIANT else ""
    )
