"""Equivalence by two one-sided tests (TOST) against a margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from multimodal_lab.stats.betabinomial import chance, events, interval
from multimodal_lab.stats.crossed import Crossed
from multimodal_lab.stats.holm import holm
from multimodal_lab.stats.mover import Bounds, beyond
from multimodal_lab.stats.paired import Paired

SURELY = 0.01  # a baseline that is worse at this level was never a choice for the better one


@dataclass(frozen=True)
class Equivalence:
    """p of the worse of both sides; low, high: the interval of level 1 - 2 alpha, inside the margin where equivalent."""

    margin: float
    p: float
    low: float
    high: float
    alpha: float

    @property
    def shown(self) -> bool:
        """The difference is smaller than the margin, at alpha."""
        return self.p < self.alpha


def tost(mean: float, se: float, df: float, margin: float, alpha: float = 0.05) -> Equivalence:
    """Is a mean difference with standard error se on df degrees of freedom inside (-margin, margin)?

    Not to find a difference is no proof that there is none: this is the proof. An infinite se shows nothing.
    Schuirmann 1987; Lakens 2017.
    """
    if not margin > 0:
        raise ValueError(f"margin={margin:g}, expected > 0")
    if se == 0:
        return Equivalence(margin, float(abs(mean) >= margin), mean, mean, alpha)
    if se == float("inf"):
        return Equivalence(margin, 1.0, -se, se, alpha)
    worse = max(_beyond(mean + margin, se, df), _beyond(margin - mean, se, df))
    reach = se * float(stats.t.ppf(1 - alpha, df))
    return Equivalence(margin, float(worse), mean - reach, mean + reach, alpha)


def equivalence(
    pairs: Paired, found: Crossed, margin: float, alpha: float = 0.05, among: int = 1, bounds: Bounds | None = None
) -> Equivalence:
    """The same of a study's test, which must hold by `tost` and by `within` alike; the interval is the wider of both.

    found: `crossed` of the pairs. among: as in `within`; the interval is not corrected for it. bounds: of scores near a ceiling
    one more interval that must lie within the margin, see `mover`.
    """
    plain = tost(found.mean, _se(pairs, found), _df(found), margin, alpha)
    if found.se == float("inf"):
        return plain
    low, high = interval(events(pairs), alpha)
    p = within(pairs, found, margin, among)
    if bounds is not None:
        below, above = bounds(1 - 2 * alpha)
        low, high, p = min(low, below), max(high, above), max(p, min(1.0, among * beyond(bounds, margin)))
    return Equivalence(margin, p, min(low, plain.low), max(high, plain.high), alpha)


def within(pairs: Paired, found: Crossed, margin: float, among: int = 1) -> float:
    """p of "the difference is the margin or more", on the worse side, by the test of `tost` and by the chance of rare events.

    among: how many baselines the better one was chosen from by these scores (`rivals`). The one that luck favours is
    chosen, so that the gain over it comes out too small: the p of "it gains the margin or more" is times their number
    (Bonferroni). "It loses the margin or more" needs no correction, as the gain over any of the others came out larger.
    """
    if found.se == float("inf"):
        return 1.0
    of, se, df = events(pairs, margin), _se(pairs, found), _df(found)
    loses = max(_beyond(margin + found.mean, se, df), chance(of, -margin))
    gains = max(_beyond(margin - found.mean, se, df), chance(of.turned, -margin))
    return min(1.0, max(loses, among * gains))


def rivals(leads: Sequence[Crossed]) -> int:
    """How many baselines may be the better one: the chosen one, and those over which its lead is not sure."""
    return 1 + sum(lead.p >= SURELY for lead in leads)


def over_arms(found: Sequence[Equivalence]) -> list[Equivalence]:
    """Of all fused arms against one baseline, with Holm-adjusted p: the arm that answers for a label is chosen among them."""
    adjusted = holm(np.array([e.p for e in found]))
    return [replace(e, p=float(p)) for e, p in zip(found, adjusted, strict=True)]


def _se(pairs: Paired, found: Crossed) -> float:
    """Of a score over classes with the floor of `rare`: a rare class may differ where all others agree."""
    return found.cautious.se if pairs.strata else found.se


def _df(found: Crossed) -> float:
    """Where the variance is too small by chance, the mean is near where that is, and an equal world is claimed too often."""
    return found.df if found.few_df is None else found.few_df


def _beyond(distance: float, se: float, df: float) -> float:
    return float(distance <= 0) if se == 0 else float(stats.t.sf(distance / se, df))
