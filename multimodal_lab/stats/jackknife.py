"""Confidence intervals of statistics of grouped samples: the jackknife that leaves whole groups out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

BLOCKS = 40  # more make the variance hardly more precise, and cost as many evaluations


@dataclass(frozen=True)
class Jackknife:
    """Of P statistics: corrected (P,), without the bias that falls as 1 / groups; se (P,); df: blocks - 1."""

    corrected: np.ndarray
    se: np.ndarray
    df: int

    def reach(self, level: float = 0.95) -> np.ndarray:
        """(P,) half the width of the interval: t times the standard error."""
        half: np.ndarray = stats.t.ppf((1 + level) / 2, self.df) * self.se
        return half


def blocks(index: np.ndarray, most: int = BLOCKS) -> np.ndarray:
    """(N,) the block of each row: its group, or where there are more than `most` groups, one of `most` lots of whole groups."""
    count = int(index.max()) + 1
    if count <= most:
        return index
    lots: np.ndarray = (np.random.default_rng(0).permutation(count) % most)[index]
    return lots


def jackknife(whole: np.ndarray, left: np.ndarray, counts: np.ndarray) -> Jackknife:
    """From statistics of all groups, whole (P,), and of all but one block, left (B, P), of counts (B,) groups each.

    Delete-m jackknife for unequal m (Busing, Meijer & van der Leeden 1999, equations 5 and 6); with blocks of one group it is
    the jackknife of Quenouille (1956) and Tukey (1958). Where the bias of first order is all there is (a degenerate
    U-statistic, such as HSIC of independent spaces) its variance is too large, not too small.
    """
    times = (counts.sum() / counts)[:, None]
    corrected = len(left) * whole - ((1 - 1 / times) * left).sum(0)
    pseudo = times * whole - (times - 1) * left
    return Jackknife(corrected, (((pseudo - corrected) ** 2) / (times - 1)).mean(0) ** 0.5, len(left) - 1)
