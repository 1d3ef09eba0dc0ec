"""Statistical power of *adds*: the smallest gain that it finds, and the seeds that would find a smaller one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

from multimodal_lab.stats.crossed import Crossed
from multimodal_lab.stats.score import ACCURACY, Score
from multimodal_lab.stats.smallest import smallest

_MOST = 10_000
_SHARED = 0.5  # correlation of two differences from one arm, where all arms vary alike


@dataclass(frozen=True)
class OneSided:
    """A one-sided t-test that a verdict asks for: its standard error, degrees of freedom and level.

    less: by how much the difference that it tests is smaller than the gain.
    """

    se: float
    df: float
    alpha: float
    less: float = 0.0

    def power(self, gain: float) -> float:
        """Chance that it is sure at a true gain: the noncentral t with noncentrality gain / se."""
        if self.se == float("inf"):
            return 0.0
        shift = gain - self.less
        if self.se == 0:
            return float(shift > 0)
        beyond = float(stats.t.ppf(1 - self.alpha, self.df))
        found = float(stats.nct.sf(beyond, self.df, shift / self.se))
        return float(shift / self.se > beyond) if np.isnan(found) else found  # deep in a tail scipy gives NaN


def chance(gain: float, tests: Sequence[OneSided]) -> float:
    """Chance that all tests are sure at a true gain: of the word *adds*, given the test of the gain and those of the leads.

    All of them hold the fused arm against another one, so that any two are correlated, by .5 where the arms vary alike: a
    Gaussian copula with that correlation over the exact powers.
    """
    alone = np.array([test.power(gain) for test in tests])
    if len(alone) == 1 or not alone.all():
        return float(alone.prod())
    shared, weights = special.roots_hermitenorm(40)
    given = special.ndtr((special.ndtri(alone)[:, None] + _SHARED**0.5 * shared) / (1 - _SHARED) ** 0.5)
    return float((weights * given.prod(0)).sum() / weights.sum())


def detectable(tests: Sequence[OneSided], at: float = 0.8, most: float = 1.0) -> float:
    """The smallest true gain that all tests find with chance `at`, the minimum detectable effect (Bloom 1995), as a fraction.

    Infinite where none up to `most` is: a score that is a share can't gain more than 1.
    """
    if chance(most, tests) < at:
        return float("inf")
    return float(optimize.brentq(lambda gain: chance(gain, tests) - at, 0, most, xtol=1e-6))


@dataclass(frozen=True)
class Needed:
    """Seeds to add to find `effect`; None: no number would, because the groups in the test part are too few."""

    effect: float
    more: int | None
    sentence: str


@dataclass(frozen=True)
class Asked:
    """A test that a verdict asks for, as the study made it, and its level; less: as in `OneSided`."""

    found: Crossed
    alpha: float
    less: float = 0.0

    def at(self, seeds: int) -> OneSided:
        """The test with another number of seeds: only their part of the variance falls, as 1 / seeds."""
        c = self.found
        if seeds == c.seeds:
            return OneSided(c.se, c.df, self.alpha, self.less)
        return OneSided(_se(c.fixed_variance, c.seed_variance, c.seeds, seeds), _df(c, seeds), self.alpha, self.less)


def seeds_needed(asked: Sequence[Asked], effect: float, at: float = 0.8, score: Score = ACCURACY) -> Needed:
    """How many more seeds would let a study find a true gain of `effect` with chance `at`: by all tests that are asked.

    Only the seeds' part of the variance falls as 1 / seeds; what the groups in the test part bring stays, and sets a
    floor. The parts and the degrees of freedom are those estimated here, so it is a forecast.
    """
    points = f"a gain of {score.size(effect)} with {100 * at:.0f} % chance"
    seeds, groups = asked[0].found.seeds, asked[0].found.groups

    def enough(count: int) -> bool:
        return chance(effect, [one.at(count) for one in asked]) >= at

    if any(one.found.se == float("inf") for one in asked):
        return Needed(effect, None, f"with {seeds} seed(s) and {groups} group(s) nothing can be forecast")
    if enough(seeds):
        return Needed(effect, 0, f"{seeds} seeds are enough to find {points}")
    if not enough(_MOST):
        return Needed(effect, None, f"no number of seeds would find {points}: the test part needs more groups")
    more = smallest(seeds, _MOST, enough) - seeds
    return Needed(effect, more, f"{more} more seed{'' if more == 1 else 's'} would find {points}")


def _se(fixed: float, spread: float, seeds: int, then: int) -> float:
    return float((fixed + spread * seeds / then) ** 0.5)


def _df(found: Crossed, then: int) -> float:
    # more seeds never cost degrees of freedom; what they give is at most one each
    return found.df + (then - found.seeds) * found.seed_variance / (found.seed_variance + found.fixed_variance)
