"""Effect sizes of a paired difference: Hedges's g, and the share of wins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats


@dataclass(frozen=True)
class Effect:
    """An effect size and its interval; NaN where no score varies."""

    size: float
    low: float
    high: float


def hedges_g_av(baseline: np.ndarray, arm: np.ndarray, level: float = 0.95) -> Effect:
    """Mean difference over the average of the two arms' standard deviations, without small-sample bias.

    baseline, arm (n,): paired scores, n >= 2. g_av = J(n - 1) (mean difference) / sqrt((s1^2 + s2^2) / 2), Cumming 2012,
    chapter 11; J exact, Hedges 1981. Interval: noncentral t, Algina & Keselman 2003.
    """
    difference, spread = _checked(baseline, arm)
    return _effect(difference, float(np.sqrt(spread)), level)


def correction(df: float) -> float:
    """J(df), which takes the upward bias out of a standardised mean difference. Hedges 1981."""
    return (
        float(np.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / np.sqrt(df / 2)) if df > 1 else np.nan
    )


def wins(baseline: np.ndarray, arm: np.ndarray, tie: float = 0.0) -> tuple[int, int, int]:
    """Pairs won, tied and lost by the arm; a difference of at most `tie` is a tie."""
    difference = np.asarray(arm, float) - np.asarray(baseline, float)
    won, lost = int((difference > tie).sum()), int((difference < -tie).sum())
    return won, difference.size - won - lost, lost


def _checked(baseline: np.ndarray, arm: np.ndarray) -> tuple[np.ndarray, float]:
    baseline, arm = np.asarray(baseline, float), np.asarray(arm, float)
    if baseline.shape != arm.shape or baseline.ndim != 1 or len(baseline) < 2:
        raise ValueError(f"scores are {baseline.shape} and {arm.shape}, expected two equal (n,) with n >= 2")
    return arm - baseline, float((baseline.var(ddof=1) + arm.var(ddof=1)) / 2)


def _effect(difference: np.ndarray, spread: float, level: float) -> Effect:
    n, sd = len(difference), float(difference.std(ddof=1))
    if spread == 0 or sd <= 1e-12 * np.abs(difference).max():  # equal differences still differ in the last bits
        return Effect(float("nan"), float("nan"), float("nan"))
    j = correction(n - 1) if n > 2 else 1.0
    t = float(difference.mean()) / (sd / n**0.5)
    low, high = (_noncentrality(t, n - 1, q) for q in ((1 + level) / 2, (1 - level) / 2))
    unit = sd / n**0.5 / spread
    return Effect(j * t * unit, j * low * unit, j * high * unit)


def _noncentrality(t: float, df: int, q: float) -> float:
    """The noncentrality under which t is the q-quantile."""

    def off(shift: float) -> float:
        # deep in a tail scipy's noncentral t is NaN where it is 0 or 1
        return float(np.nan_to_num(stats.nct.cdf(t, df, shift), nan=float(shift < t))) - q

    reach = 10 + abs(t)
    while off(t - reach) < 0 or off(t + reach) > 0:
        reach *= 2
    return float(optimize.brentq(off, t - reach, t + reach, xtol=1e-12))
