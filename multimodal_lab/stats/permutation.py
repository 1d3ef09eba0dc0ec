"""Sign-flip permutation test, and Wilcoxon's signed-rank test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import rankdata

Side = Literal["two-sided", "greater", "less"]
_EXACT = 20  # 2^20 sums are 8 MB; beyond, drawn
_SHARE = 2**12


@dataclass(frozen=True)
class SignFlip:
    """p; smallest: the lowest p that so many pairs can give; n: pairs that are not 0; exact: all flips were counted."""

    p: float
    smallest: float
    n: int
    exact: bool

    @property
    def hopeless(self) -> bool:
        """No data could make p reach .05 with so few pairs."""
        return self.smallest > 0.05


def smallest_p(pairs: int, side: Side = "two-sided") -> float:
    """The lowest p that a sign-flip test of n pairs can give: 2 / 2^n two-sided, 1 / 2^n one-sided."""
    return min(1.0, (2 if side == "two-sided" else 1) / 2.0**pairs)


def sign_flip(differences: np.ndarray, side: Side = "two-sided", draws: int = 9999, seed: int = 0) -> SignFlip:
    """Sign-flip permutation test of a mean.

    differences (n,): one number for each independent unit: what a group gives to the mean (`Paired.by_group`), or the
    mean of a seed (`Paired.by_seed`). Exact up to 20 that are not 0, by counting all 2^n flips; beyond, (1 + hits) /
    (1 + draws). Fisher 1935; Phipson & Smyth 2010 for the drawn p.
    """
    pairs = np.asarray(differences, float)
    if pairs.ndim != 1 or not np.isfinite(pairs).all():
        raise ValueError(f"differences are {pairs.shape}, expected (n,) finite numbers")
    pairs = pairs[pairs != 0]
    n, exact = len(pairs), len(pairs) <= _EXACT
    low = smallest_p(n, side)
    total = pairs.sum()
    # the tolerance keeps an equal sum from counting as lower by rounding
    slack = 1e-12 * np.abs(pairs).sum()
    if exact:
        hits = _extreme(_all_sums(pairs), total, slack, side)
        return SignFlip(hits / 2**n, low, n, True)
    hits, draw = 0, np.random.default_rng(seed)
    for start in range(0, draws, _SHARE):
        flips = draw.choice([-1.0, 1.0], (min(_SHARE, draws - start), n))
        hits += _extreme(flips @ pairs, total, slack, side)
    return SignFlip((1 + hits) / (1 + draws), max(low, 1 / (1 + draws)), n, False)


def wilcoxon(differences: np.ndarray, side: Side = "two-sided", draws: int = 9999, seed: int = 0) -> SignFlip:
    """The signed-rank test, exact with ties too: the sign-flip test of the ranks. Wilcoxon 1945; zeros are left out."""
    pairs = np.asarray(differences, float)
    pairs = pairs[pairs != 0]
    return sign_flip(np.sign(pairs) * rankdata(np.abs(pairs)), side, draws, seed)


def _all_sums(pairs: np.ndarray) -> np.ndarray:
    sums = np.zeros(1)
    for pair in pairs:
        sums = np.concatenate([sums + pair, sums - pair])
    return sums


def _extreme(sums: np.ndarray, total: float, slack: float, side: Side) -> int:
    if side == "two-sided":
        return int((np.abs(sums) >= abs(total) - slack).sum())
    return int((sums >= total - slack).sum() if side == "greater" else (sums <= total + slack).sum())
