"""An arm's own score with an interval that holds near 0 and 1."""

from __future__ import annotations

from dataclasses import replace

from multimodal_lab.stats.betabinomial import events, interval
from multimodal_lab.stats.crossed import Crossed, crossed
from multimodal_lab.stats.paired import Paired


def own(scores: Paired, test_per_train: float | None = None, level: float = 0.95) -> Crossed:
    """The study's mean and test of `paired(0, score, groups)`; of a score in [0, 1] with an interval in [0, 1].

    The interval is the wider of that of the t-test, cut at 0 and 1, and of the means that `betabinomial.chance` does not
    refute: the t-test's has no width where all samples are right, and is as long above as below (Brown, Cai & DasGupta 2001).
    """
    found = crossed(scores, test_per_train, level)
    of = scores.samples
    if found.se == float("inf") or of is None or of.lost.any() or (of.won > 1).any():
        return found
    low, high = interval(events(scores), (1 - level) / 2, losses=False)
    return replace(found, low=max(0.0, min(low, found.low)), high=min(1.0, max(high, found.high)))
