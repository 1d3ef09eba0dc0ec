"""Uniformity, alignment and modality gap, each with a confidence interval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.stats import t as student

from multimodal_lab.stats.exchange import LEAST
from multimodal_lab.stats.grouped import means, numbered
from multimodal_lab.stats.resample import Resampled, resampled
from multimodal_lab.stats.sphere import alignment, gap_squared, uniformity, unit


def spread(x: np.ndarray, groups: np.ndarray | None = None) -> Resampled:
    """`sphere.uniformity` of x (N, D) with its interval (see `resampled`); p and null are NaN: there is nothing to re-pair."""
    return resampled(lambda a, _, index: uniformity(a, index), x, x, groups, permutations=0)


def together(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None, *, permutations: int = 199, seed: int = 0
) -> dict[str, Resampled]:
    """modality_gap and alignment of x, y (N, D) that were trained into one space; groups (N,) as in `resampled`.

    Alignment is small where samples are near their own: p tells how often whole groups dealt anew are as near. The gap is
    the same for any pairing. It is the root of `sphere.gap_squared`, with 0 for what is below; see `_gap` for its interval. Its
    null swaps the two modalities, whole groups at a time, as if it didn't matter which is which (Liang et al. 2022 tell the
    gap; the swap is the sign-flip test of a mean, Fisher 1935).
    """
    # `resampled` takes larger for more alike: the distance goes in with its sign turned, and comes back
    near = resampled(lambda a, b, index: -alignment(a, b, index), x, y, groups, permutations=permutations, seed=seed)
    near = replace(near, value=-near.value, low=-near.high, high=-near.low, null=-near.null)
    own = means(unit(np.asarray(x, float)) - unit(np.asarray(y, float)), numbered(groups, len(x)))
    squared = gap_squared(x, y, groups)
    low, high = _gap(own, squared)
    gap = replace(near, value=max(squared, 0.0) ** 0.5, low=low, high=high, p=float("nan"), null=float("nan"))
    if permutations:
        nulls = _swapped(own, permutations, seed)
        p = (1 + int((nulls >= squared - 1e-12).sum())) / (1 + permutations)
        gap = replace(gap, p=p, null=float(np.maximum(nulls, 0).mean() ** 0.5))
    return {"modality_gap": gap, "alignment": near}


def _gap(own: np.ndarray, squared: float, level: float = 0.95) -> tuple[float, float]:
    """Interval of the gap, from the groups' differences own (G, D) and its square; NaN with fewer than 7 groups.

    All g with |squared - g^2| <= t (4 a g^2 + b)^1/2, the standard error being that at g and not at the estimate (a score
    interval, Wilson 1927): the smaller a square is found, the smaller its scatter seems. a: variance of the centre in its
    direction; b: 2 tr V^2, V its covariance.
    """
    count = len(own)
    if count < LEAST:
        return float("nan"), float("nan")
    centre = own.mean(0)
    off = (own - centre) / (count * (count - 1)) ** 0.5
    along = float(((off @ centre) ** 2).sum() / max(float(centre @ centre), 1e-300))
    every = 2 * float(((off @ off.T) ** 2).sum())
    t = float(student.ppf((1 + level) / 2, count - 1))
    middle = squared + 2 * along * t**2
    reach = max(middle**2 - squared**2 + every * t**2, 0.0) ** 0.5
    return max(middle - reach, 0.0) ** 0.5, max(middle + reach, 0.0) ** 0.5


def _swapped(own: np.ndarray, count: int, seed: int) -> np.ndarray:
    """`gap_squared` (count,) where the modalities of each group are swapped or not, by a coin; own (G, D): their differences."""
    whole = np.random.default_rng(seed).choice([-1.0, 1.0], (count, len(own))) @ own
    squares: np.ndarray = ((whole**2).sum(1) - (own**2).sum()) / (len(own) * (len(own) - 1))
    return squares
