"""How likely the mean that was seen would be, were the true mean a given one: for rare events in few or unequal groups.

A standard error from the groups says too little where most groups have no event: the groups that would move the mean may
not be among those seen, and their variance is small in the very studies in which the mean is, too. A score test
takes the variance under the hypothesis instead (Tango 1998 for pairs). Here losses and wins of the groups are two
beta-binomials with one correlation within groups, fitted by maximum likelihood under the hypothesis
that their rates differ by the given mean. Where no group has an event, the fit lets groups fail whole, so that the
p is that of the binomial of groups (the rule of three: Hanley & Lippman-Hand 1983). The skewed tail of the mean is that
of a Pearson type III with its first three moments (Hall 1992 on why a t-test misses it), with half an event as correction
for continuity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from multimodal_lab.stats.paired import Paired

WITHIN = np.array([1e-4, 0.01, 0.03, 0.06, 0.12, 0.2, 0.35, 0.6, 0.999])  # correlations tried
STEPS = np.array([0.1, 0.4, 0.7, 1.0, 1.4, 2.0])  # rates tried, as multiples of those seen
_LEAST = 1e-300


@dataclass(frozen=True)
class Events:
    """Losses and wins of the groups.

    lost, won, trials (G,): in trials of as much information as one 0 or 1 has; shares (G,): of the groups in the mean, summing
    to 1; unit: what one event moves; mean: the mean difference in units; seeds: variance of the mean over seeds.
    """

    lost: np.ndarray
    won: np.ndarray
    trials: np.ndarray
    shares: np.ndarray
    mean: float
    unit: float
    seeds: float

    @property
    def turned(self) -> Events:
        """Losses for wins."""
        return replace(self, lost=self.won, won=self.lost, mean=-self.mean)


def events(pairs: Paired, largest: float = 1.0) -> Events:
    """The events of paired differences of two seeds or more; largest: a mean that will be asked for.

    A sample on which seeds differ is a mean over them and counts for more than one trial, for as many at most as
    there are seeds: by the variance of one seed's difference over that of the mean. Differences that are fractions count for
    more as well. A score that goes beyond 1 has a larger unit.
    """
    if (of := pairs.samples) is None:
        raise ValueError("these differences are not known by sample; expected those of `paired`")
    unit = max(1.0, largest, float(np.maximum(of.lost, of.won).max()))
    lost, won, groups = of.lost / unit, of.won / unit, len(pairs.names)
    square, seeds, more = float(of.square.mean()) / unit**2, len(pairs.sums), 1.0
    single = square - float((won - lost).mean()) ** 2
    if single > 0:
        grain = float((lost + won).mean()) / square
        more = grain * single / max(float((won - lost).var()), single / seeds)
    tested = np.bincount(of.index, minlength=groups)
    there = tested > 0
    losses, wins = (more * np.bincount(of.index, x, groups)[there] for x in (lost, won))
    spread = float(pairs.by_seed.var(ddof=1)) / seeds / unit**2
    return Events(losses, wins, more * tested[there], pairs.shares[there], pairs.mean / unit, unit, spread)


def chance(of: Events, mean: float, losses: bool = True) -> float:
    """The probability of a mean at least as high as the one seen, were the true mean `mean`: p of "it is no more than that".

    losses: whether there can be any; an arm's own score has none.
    """
    value = mean / of.unit
    won, lost = of.won.sum() / of.trials.sum(), of.lost.sum() / of.trials.sum()
    rates = np.array([value])
    if losses:
        rates = np.unique(np.concatenate([won * STEPS, value + lost * STEPS, [max(value, 0.0)]]))
        rates = rates[(rates >= max(value, 0.0)) & (rates <= min(1.0, 1.0 + value))]
    fit = _likelihood(of.won, of.trials, rates) + _likelihood(of.lost, of.trials, rates - value)
    within, best = np.unravel_index(int(fit.argmax()), fit.shape)
    (v1, s1), (v2, s2) = (_moments(float(rate), WITHIN[within], of) for rate in (rates[best], rates[best] - value))
    variance = v1 + v2 + of.seeds
    if variance <= 0:
        return float(of.mean >= value)
    # what one event moves the mean by: 1 / samples where they fail alone, 1 / groups where these fail whole
    single = sum(r * (1 - r) for r in (rates[best], rates[best] - value))
    step = (v1 + v2) / single if single > 0 else 0.0
    return _above((of.mean - step / 2 - value) / variance**0.5, (s1 - s2) / variance**1.5)


def interval(of: Events, alpha: float, losses: bool = True) -> tuple[float, float]:
    """The means whose chance is at least alpha on either side: the interval of level 1 - 2 alpha that inverts `chance`."""
    if losses:
        return of.unit * _edge(of, alpha, True), -of.unit * _edge(of.turned, alpha, True)
    failed = replace(of, won=of.trials - of.won, mean=1 - of.mean)
    return _edge(of, alpha, False), 1 - _edge(failed, alpha, False)


def _edge(of: Events, alpha: float, losses: bool) -> float:
    """The lowest mean, in units, that is not refuted; by bisection to 1 / 2^16."""
    low, high = -1.0 if losses else 0.0, of.mean
    for _ in range(16):
        middle = (low + high) / 2
        low, high = (middle, high) if chance(of, middle * of.unit, losses) < alpha else (low, middle)
    return low


def _above(z: float, skew: float) -> float:
    """P(Z >= z) of a Pearson type III of mean 0, variance 1: a shifted gamma, as scipy's `pearson3` and a tenth of its time."""
    if abs(skew) < 1e-3:
        return float(special.ndtr(-z))
    shape = 4 / skew**2
    x = max(0.0, shape + shape**0.5 * z * np.sign(skew))
    return float(special.gammaincc(shape, x) if skew > 0 else special.gammainc(shape, x))


def _likelihood(x: np.ndarray, trials: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Log-likelihood of beta-binomial events, (correlations, rates), but for a constant; counts may be fractions."""
    spread = ((1 - WITHIN) / WITHIN)[:, None]

    def grown(start: np.ndarray, by: np.ndarray) -> np.ndarray:
        by, times = np.unique(by[by > 0], return_counts=True)
        start = np.maximum(start, _LEAST)[..., None]
        return np.asarray(((special.gammaln(start + by) - special.gammaln(start)) * times).sum(-1))

    return np.asarray(grown(spread * rates, x) + grown(spread * (1 - rates), trials - x) - grown(spread, trials))


def _moments(rate: float, within: float, of: Events) -> tuple[float, float]:
    """Variance and third central moment of the mean of beta-binomial events."""
    if rate <= 0:
        return 0.0, 0.0
    n, spread = of.trials, (1 - within) / within
    two = rate * (spread * rate + 1) / (spread + 1)  # both of two samples of a group
    three = two * (spread * rate + 2) / (spread + 2)
    n1, n2 = np.maximum(n - 1, 0), np.maximum(n - 2, 0)
    square = (rate + n1 * two) / n
    cube = (rate + 3 * n1 * two + n1 * n2 * three) / n**2
    third = cube - 3 * rate * square + 2 * rate**3
    return float((of.shares**2 * (square - rate**2)).sum()), float((of.shares**3 * third).sum())
