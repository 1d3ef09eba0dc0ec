"""MOVER: interval of a difference of two scores near their ceiling, from an interval of each that stays below 1.

The standard error of an area under a curve, such as the AUROC, that is told from few samples of a class falls with the distance
to 1 that luck gave it, so that mean ± t times it is too short, and most so where it is too near 1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import special, stats

from multimodal_lab.stats.crossed import Crossed

Bounds = Callable[[float], tuple[float, float]]  # {level: (low, high)}
FINEST = 20  # halvings of a level: to 5e-7


def mover(baseline: Crossed, arm: Crossed, gain: Crossed, level: float) -> tuple[float, float]:
    """The interval of `gain`, arm - baseline: both own intervals, symmetric on the logit scale, joined by their correlation.

    MOVER: Zou & Donner 2008; of two shares, Newcombe 1998. Degrees of freedom are the gain's, those of smallness. Where a
    score is 0 or 1, its own interval is mean ± t x se.
    """
    if not np.isfinite([baseline.se, arm.se, gain.se]).all():
        return -np.inf, np.inf
    df = gain.df if gain.few_df is None else gain.few_df
    low1, high1 = _own(baseline, df, level)
    low2, high2 = _own(arm, df, level)
    both = baseline.se * arm.se
    alike = 0.0 if both == 0 else (baseline.se**2 + arm.se**2 - gain.se**2) / (2 * both)
    alike = float(np.clip(alike, -1.0, 1.0))

    def reach(one: float, other: float) -> float:
        return float(np.sqrt(max(0.0, one**2 + other**2 - 2 * alike * one * other)))

    below = reach(arm.mean - low2, high1 - baseline.mean)
    above = reach(high2 - arm.mean, baseline.mean - low1)
    return gain.mean - below, gain.mean + above


def beyond(bounds: Bounds, margin: float) -> float:
    """p of "the difference is the margin or more": the least alpha at which the interval of level 1 - 2 alpha is inside of it."""
    outside, inside = 0.0, 0.5
    for _ in range(FINEST):
        alpha = (outside + inside) / 2
        low, high = bounds(1 - 2 * alpha)
        outside, inside = (outside, alpha) if -margin < low and high < margin else (alpha, inside)
    return 1.0 if outside > 0.4999 else inside


def _own(score: Crossed, df: float, level: float) -> tuple[float, float]:
    t = float(stats.t.ppf((1 + level) / 2, df))
    if not 0 < score.mean < 1:
        return score.mean - t * score.se, score.mean + t * score.se
    at, reach = special.logit(score.mean), t * score.se / (score.mean * (1 - score.mean))
    return float(special.expit(at - reach)), float(special.expit(at + reach))
