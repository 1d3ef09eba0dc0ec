"""Range and mean of each stored band, and which bands hold the same values: what tells bands that are not what the card says."""

from __future__ import annotations

from typing import Any

import numpy as np


class BandRanges:
    """Takes in one sample after another; `facts` tells of all. Values are in stored units, NaN is none."""

    def __init__(self) -> None:
        self.low: np.ndarray = np.zeros(0)
        self.high, self.total, self.count = self.low, self.low, self.low
        self.last = self.low, self.low  # total and count of what was taken in last
        self.same: list[list[int]] = []  # bands that were equal in every sample so far, two or more together

    def add(self, x: np.ndarray) -> None:
        """(C, n) values of one sample, n >= 1."""
        gaps = x.dtype.kind == "f" and bool(np.isnan(np.min(x)))
        low, high = np.fmin.reduce(x, 1).astype(np.float64), np.fmax.reduce(x, 1).astype(np.float64)
        count = np.asarray((~np.isnan(x)).sum(1) if gaps else np.full(len(x), x.shape[1]))
        total = np.asarray((np.nansum if gaps else np.sum)(x, 1, dtype=np.float64))
        self.last = total, count
        if not len(self.count):
            self.low, self.high, self.total, self.count = low, high, total, count.astype(np.float64)
            self.same = _alike(x, [[*range(len(x))]])
            return
        self.low, self.high = np.fmin(self.low, low), np.fmax(self.high, high)
        self.total, self.count = self.total + total, self.count + count
        if self.same:
            self.same = _alike(x, self.same)

    def again(self) -> None:
        """Take in what was taken in last once more."""
        self.total, self.count = self.total + self.last[0], self.count + self.last[1]

    def facts(self) -> dict[str, Any]:
        """low, high, mean: a number a band, None where it has none. same: places of bands that are equal throughout."""
        if not len(self.count):
            return {}
        mean = self.total / np.maximum(self.count, 1)
        made = {k: _plain(v, self.count) for k, v in (("low", self.low), ("high", self.high), ("mean", mean))}
        return {**made, "same": [own for own in self.same if self.high[own[0]] > self.low[own[0]]]}


def _alike(x: np.ndarray, groups: list[list[int]]) -> list[list[int]]:
    found = []
    for group in groups:
        by: dict[bytes, list[int]] = {}
        for band in group:
            by.setdefault(x[band].tobytes(), []).append(band)
        found += [own for own in by.values() if len(own) > 1]
    return found


def _plain(values: np.ndarray, count: np.ndarray) -> list[float | None]:
    return [float(v) if n else None for v, n in zip(values, count, strict=True)]
