"""Split membership of every sample, and samples that occur in two splits."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from multimodal_lab.data.split import linked
from multimodal_lab.data.split.split import NAMES, SplitRows


@dataclass(frozen=True)
class Parts:
    """names: the parts, in the order train, val, test. home (N,): the place of each sample's part, -1 for none.

    ids (N,): the samples' names. groups (N,) int64 and by: as the split has them, the columns; none where each sample is its
    own. samples: the table.
    """

    names: tuple[str, ...]
    home: np.ndarray
    ids: np.ndarray
    groups: np.ndarray
    by: tuple[str, ...]
    samples: pd.DataFrame

    @property
    def unit(self) -> linked.By:
        """`by` as a split takes it."""
        return linked.plain([*self.by] or None)

    def rows(self, name: str) -> np.ndarray:
        """The rows of a part, none where there is no such part."""
        return np.flatnonzero(self.home == self.names.index(name)) if name in self.names else np.zeros(0, np.int64)

    def called(self, row: int) -> str:
        """`a_12 (test)`."""
        return f"{self.ids[row]} ({self.names[self.home[row]]})"


@dataclass(frozen=True)
class Crossing:
    """Rows `held` (K,), each with the row `first` (K,) of an earlier part that has the same value."""

    held: np.ndarray
    first: np.ndarray
    parts: Parts

    def __bool__(self) -> bool:
        return len(self.held) > 0

    @property
    def tested(self) -> bool:
        """Whether the test part is among those that share."""
        return "test" in self.parts.names and bool((self.parts.home[self.held] == self.parts.names.index("test")).any())

    @property
    def counted(self) -> str:
        """`12 of 328 test samples and 4 of 131 val samples`."""
        found = []
        for name in reversed(self.parts.names):
            own = self.parts.rows(name)
            count = int(np.isin(self.held, own).sum())
            if count:
                found.append(f"{count:,} of {len(own):,} {name} samples")
        return " and ".join(found)

    def pairs(self, sign: str = "=") -> tuple[str, ...]:
        """`b (test) = a (train)`, those of the test part first."""
        order = np.argsort(-self.parts.home[self.held], kind="stable")[:20]
        return tuple(f"{self.parts.called(self.held[i])} {sign} {self.parts.called(self.first[i])}" for i in order)


def parts(
    splits: SplitRows, samples: pd.DataFrame, groups: np.ndarray, by: linked.By, bad: Collection[int] = ()
) -> Parts:
    """The parts of a split without the rows that can't be read."""
    names = tuple(n for n in NAMES if n in splits)
    home = np.full(len(samples), -1, dtype=np.int64)
    for place, name in enumerate(names):
        home[splits[name]] = place
    home[list(bad)] = -1
    ids = samples["id"].astype(str).to_numpy(dtype=object)
    return Parts(names, home, ids, groups, linked.columns(by), samples)


def crossing(values: np.ndarray, found: Parts) -> Crossing:
    """The rows whose value stands in an earlier part too. values (N,): integers from 0, -1 for none."""
    rows = np.flatnonzero((values >= 0) & (found.home >= 0))
    if not len(rows):
        return Crossing(rows, rows, found)
    order = rows[np.lexsort((rows, found.home[rows], values[rows]))]  # by value, then part, then place
    starts = np.flatnonzero(np.diff(values[order], prepend=-1))
    first = np.repeat(order[starts], np.diff(np.append(starts, len(order))))
    later = found.home[order] > found.home[first]
    held, first = order[later], first[later]
    back = np.argsort(held, kind="stable")
    return Crossing(held[back], first[back], found)


def codes(values: pd.Series) -> np.ndarray:
    """(N,) integers, equal for equal values; -1 where missing. A cell of several values is one."""
    values = values.map(lambda v: str(v) if isinstance(v, list | set) else v)
    return np.asarray(pd.factorize(values.astype(object).where(values.notna(), None))[0], dtype=np.int64)
