"""Uniformity, alignment and modality gap, each with a confidence interval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from multimodal_lab.stats.resample import Resampled, resampled
from multimodal_lab.stats.sphere import alignment, modality_gap, uniformity, unit


def spread(x: np.ndarray, groups: np.ndarray | None = None, *, draws: int = 200, seed: int = 0) -> Resampled:
    """`sphere.uniformity` of x (N, D) with its interval (see `resampled`); p and null are NaN: there is nothing to re-pair."""
    return resampled(lambda a, _: uniformity(a), x, x, groups, draws=draws, permutations=0, seed=seed)


def together(
    x: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    draws: int = 200,
    permutations: int = 199,
    seed: int = 0,
) -> dict[str, Resampled]:
    """modality_gap and alignment of x, y (N, D) that were trained into one space; groups (N,) as in `resampled`.

    Alignment is small where samples are near their own: p tells how often whole groups dealt anew are as near. The gap is
    the same for any pairing. Its null swaps the two modalities, whole groups at a time, as if it didn't matter which is
    which (Liang et al. 2022 tell the gap; the swap is the sign-flip test of a mean, Fisher 1935).
    """
    # `resampled` takes larger for more alike: the distance goes in with its sign turned, and comes back
    near = resampled(
        lambda a, b: -alignment(a, b), x, y, groups, draws=draws, permutations=permutations, seed=seed
    )  # fmt: skip
    near = replace(near, value=-near.value, low=-near.high, high=-near.low, null=-near.null)
    gap = resampled(modality_gap, x, y, groups, draws=draws, permutations=0, seed=seed)
    if permutations:
        nulls = _swapped(x, y, groups, permutations, seed)
        p = (1 + int((nulls >= gap.value - 1e-12).sum())) / (1 + permutations)
        gap = replace(gap, p=p, null=float(nulls.mean()))
    return {"modality_gap": gap, "alignment": near}


def _swapped(x: np.ndarray, y: np.ndarray, groups: np.ndarray | None, count: int, seed: int) -> np.ndarray:
    """The gap (count,) where each group's modalities are swapped or not, by a coin."""
    index = np.unique(np.arange(len(x)) if groups is None else groups, return_inverse=True)[1]
    apart = np.zeros((int(index.max()) + 1, x.shape[1]))
    np.add.at(apart, index, unit(np.asarray(x, float)) - unit(np.asarray(y, float)))
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (count, len(apart)))
    gaps: np.ndarray = np.linalg.norm(signs @ apart, axis=1) / len(x)
    return gaps
