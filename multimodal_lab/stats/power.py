"""Statistical power: the smallest detectable effect, and the sample size that would detect more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from multimodal_lab.stats.crossed import Crossed

_MOST = 10_000


def power(effect: float, se: float, df: float, alpha: float = 0.05) -> float:
    """Chance that a two-sided t-test finds a true difference: the noncentral t with noncentrality effect / se."""
    if se == 0:
        return float(effect != 0)
    if se == float("inf"):
        return 0.0
    beyond, shift = stats.t.ppf(1 - alpha / 2, df), abs(effect) / se
    above, below = stats.nct.sf(beyond, df, shift), stats.nct.cdf(-beyond, df, shift)
    # deep in a tail scipy's noncentral t is NaN where it is 0 or 1
    return float(np.nan_to_num(above, nan=float(shift > beyond)) + np.nan_to_num(below))


def detectable(se: float, df: float, at: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest true difference that is found with chance `at`: the minimum detectable effect. Bloom 1995.

    In the units of se; infinite where se is.
    """
    if se in (0, float("inf")):
        return se
    high = float(stats.t.ppf(1 - alpha / 2, df)) + 1
    while power(high, 1, df, alpha) < at:
        high *= 2
    return se * float(optimize.brentq(lambda x: power(x, 1, df, alpha) - at, 0, high, xtol=1e-12))


@dataclass(frozen=True)
class Needed:
    """Seeds to add to see `effect`; None: no number would, because the groups in the test part are too few."""

    effect: float
    more: int | None
    sentence: str


def seeds_needed(found: Crossed, effect: float = 0.01, at: float = 0.8, alpha: float = 0.05) -> Needed:
    """How many more seeds would let this comparison see a true difference of `effect` with chance `at`.

    Only the seeds' part of the variance falls as 1 / seeds; what the groups in the test part bring stays, and sets a
    floor. The parts and the degrees of freedom are those estimated here, so it is a forecast.
    """
    points = f"{100 * effect:.3g} point{'' if effect == 0.01 else 's'}"
    if found.se == float("inf"):
        return Needed(effect, None, f"with {found.seeds} seed(s) and {found.groups} group(s) nothing can be forecast")
    if detectable(found.se, found.df, at, alpha) <= effect:
        return Needed(effect, 0, f"{found.seeds} seeds are enough to see {points}")
    fixed, spread = found.fixed_variance, found.seed_variance
    if detectable(_se(fixed, spread, found.seeds, _MOST), _df(found, _MOST), at, alpha) > effect:
        return Needed(effect, None, f"no number of seeds lets it see {points}: the test part needs more groups")
    low, count = found.seeds, _MOST
    while count - low > 1:
        middle = (low + count) // 2
        if detectable(_se(fixed, spread, found.seeds, middle), _df(found, middle), at, alpha) <= effect:
            count = middle
        else:
            low = middle
    more = count - found.seeds
    return Needed(effect, more, f"{more} more seed{'' if more == 1 else 's'} would let it see {points}")


def _se(fixed: float, spread: float, seeds: int, then: int) -> float:
    return float((fixed + spread * seeds / then) ** 0.5)


def _df(found: Crossed, then: int) -> float:
    # more seeds never cost degrees of freedom; what they give is at most one each
    return found.df + (then - found.seeds) * found.seed_variance / (found.seed_variance + found.fixed_variance)
