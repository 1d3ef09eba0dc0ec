"""How often training takes the rows of each data set, or of each value of any other column, and which come together."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pandas as pd

from multimodal_lab.bounds import Count
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split import hard_negatives
from multimodal_lab.data.split.hashing import keys
from multimodal_lab.hashing import stable_id
from multimodal_lab.text import expected_one_of


@dataclass(frozen=True)
class Sampling:
    """Of the rows of one epoch of training, each value of column `by` gives a share in proportion to its weight.

    weights: {value: weight}, one for each value in the training split. An epoch has as many rows as it has without: a value
    with more rows than its share gives others in each epoch, one with fewer gives some more than once. Evaluation meets
    every row once.

    by=hard_negatives takes every row once an epoch, each beside up to `per_query` of its hard negatives, by the table
    `negatives` of `python -m multimodal_lab.predict negatives`: so they come into one batch.
    """

    by: str = "source"
    weights: dict[str, float] = field(default_factory=dict)
    negatives: str | None = None
    per_query: Count = 3

    def require(self, samples: pd.DataFrame, train: np.ndarray) -> None:
        """`DataError` where the column is absent or a weight is missing, unknown or negative, or there are no negatives."""
        if (self.by == hard_negatives.BY) != (self.negatives is not None):
            raise DataError(
                f"data.sampling: by={self.by} and negatives={self.negatives}; expected by={hard_negatives.BY} with a table"
            )
        if self.negatives is not None:
            if not self._near(samples, train):
                raise DataError(f"data.sampling.negatives={self.negatives}: names no two samples of the training split")
            return
        if self.by not in samples:
            there = expected_one_of(self.by, [str(c) for c in samples.columns])
            raise DataError(f"data.sampling.by: no column {self.by!r}; {there}")
        values = sorted(set(_texts(samples[self.by])[train]))
        key = "data.sampling.weights"
        for value in self.weights:
            if value not in values:
                raise DataError(
                    f"{key}: no {self.by} {value!r} in the training split; {expected_one_of(value, values)}"
                )
        if lacking := [value for value in values if value not in self.weights]:
            raise DataError(f"{key}: none for {self.by} {lacking[0]!r}; expected one for each of {', '.join(values)}")
        if min(self.weights.values()) < 0 or not sum(self.weights.values()) > 0:
            raise DataError(f"data.sampling.weights: {self.weights}; expected numbers from 0, one of them above it")

    def order(self, samples: pd.DataFrame, rows: np.ndarray, ids: np.ndarray, seed: int, epoch: int) -> np.ndarray:
        """As many of `rows` as there are, in the order of one epoch: a function of (seed, epoch, id) alone.

        ids: (N,) of all rows of the table. Rows that come twice have the same id, and so the same augmentation.
        """
        if self.negatives is not None:
            return hard_negatives.order(self._near(samples, rows), rows, ids, seed, epoch)
        values = _texts(samples[self.by])[rows]
        taken, copies = [], []
        for value, count in self._counts(len(rows)).items():
            own = rows[values == value]
            # by a salt of its own: the rows that an epoch leaves out would else be those that come last in any order
            own = own[np.argsort(keys(ids[own], seed, epoch, stable_id("sampling")), kind="stable")]
            at = np.arange(count)
            taken.append(own[at % max(len(own), 1)] if len(own) else own)
            copies.append(at[: len(taken[-1])] // max(len(own), 1))
        every, copy = np.concatenate(taken), np.concatenate(copies)
        first = copy == 0
        order = np.empty(len(every), dtype=np.uint64)
        order[first] = keys(ids[every[first]], seed, epoch)
        for again in np.unique(copy[~first]).tolist():
            at = copy == again
            order[at] = keys(ids[every[at]], seed, epoch, again)
        return np.asarray(every[np.argsort(order, kind="stable")])

    def note(self, samples: pd.DataFrame, train: np.ndarray) -> str:
        """The sentence that a run prints."""
        if self.negatives is not None:
            count = len(self._near(samples, train))
            return (
                f"sampling: {count} of {len(train)} rows of training stand beside up to {self.per_query} hard negatives"
            )
        values = _texts(samples[self.by])[train]
        parts = []
        for value, count in self._counts(len(train)).items():
            parts.append(f"{value} {count / len(train):.1%} (has {int((values == value).sum())} of {len(train)} rows)")
        return f"sampling: of each epoch of training, by {self.by}: {', '.join(parts)}"

    def _near(self, samples: pd.DataFrame, rows: np.ndarray) -> dict[int, list[int]]:
        path = str(self.negatives)
        return hard_negatives.near(_table(path, hard_negatives.changed(path)), samples, rows, self.per_query)

    def _counts(self, total: int) -> dict[str, int]:
        """{value: how many rows it gives}, which add up to `total` (largest remainders)."""
        exact = np.array(list(self.weights.values()), dtype=np.float64)
        exact *= total / exact.sum()
        counts = np.floor(exact + 1e-9).astype(np.int64)
        for i in np.argsort(counts - exact, kind="stable")[: total - int(counts.sum())]:
            counts[i] += 1
        return dict(zip(self.weights, counts.tolist()))


@lru_cache(maxsize=2)
def _table(path: str, changed: int) -> pd.DataFrame:
    """Read once as long as it stays as it is: every epoch asks."""
    return hard_negatives.read(path)


def _texts(column: pd.Series) -> np.ndarray:
    return column.map(str).to_numpy(dtype=object)
