"""Equivalence by two one-sided tests (TOST) against a margin."""

from __future__ import annotations

from dataclasses import dataclass

from scipy import stats

from multimodal_lab.stats.crossed import Crossed


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
    worse = max(stats.t.sf((mean + margin) / se, df), stats.t.cdf((mean - margin) / se, df))
    reach = se * float(stats.t.ppf(1 - alpha, df))
    return Equivalence(margin, float(worse), mean - reach, mean + reach, alpha)


def equivalence(found: Crossed, margin: float, alpha: float = 0.05) -> Equivalence:
    """The same of a study's test, its se no smaller than the groups that differ allow.

    Two arms that agree on a few samples would else be equal for sure.
    """
    return tost(found.mean, found.cautious.se, found.df, margin, alpha)
