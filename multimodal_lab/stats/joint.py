"""Uniformity, alignment and modality gap, each with a confidence interval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

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
    the same for any pairing. It is the root of `sphere.gap_squared`, as is its interval, with 0 for what is below. Its null
    swaps the two modalities, whole groups at a time, as if it didn't matter which is which (Liang et al. 2022 tell the gap;
    the swap is the sign-flip test of a mean, Fisher 1935).
    """
    # `resampled` takes larger for more alike: the distance goes in with its sign turned, and comes back
    near = resampled(lambda a, b, index: -alignment(a, b, index), x, y, groups, permutations=permutations, seed=seed)
    near = replace(near, value=-near.value, low=-near.high, high=-near.low, null=-near.null)
    squared = resampled(gap_squared, x, y, groups, permutations=0)
    value, low, high = (float(np.maximum(v, 0) ** 0.5) for v in (squared.value, squared.low, squared.high))
    gap = replace(squared, value=value, low=low, high=high)
    if permutations:
        nulls = _swapped(x, y, groups, permutations, seed)
        p = (1 + int((nulls >= squared.value - 1e-12).sum())) / (1 + permutations)
        gap = replace(gap, p=p, null=float(np.maximum(nulls, 0).mean() ** 0.5))
    return {"modality_gap": gap, "alignment": near}


def _swapped(x: np.ndarray, y: np.ndarray, groups: np.ndarray | None, count: int, seed: int) -> np.ndarray:
    """`gap_squared` (count,) where each group's modalities are swapped or not, by a coin."""
    own = means(unit(np.asarray(x, float)) - unit(np.asarray(y, float)), numbered(groups, len(x)))
    whole = np.random.default_rng(seed).choice([-1.0, 1.0], (count, len(own))) @ own
    squares: np.ndarray = ((whole**2).sum(1) - (own**2).sum()) / (len(own) * (len(own) - 1))
    return squares
