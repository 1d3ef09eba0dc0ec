"""The leak gap of a study: its `leak` arms on random splits against the study's own splits."""

from __future__ import annotations

from typing import Any

import numpy as np

from multimodal_lab.config.problem import StudyError
from multimodal_lab.stats.leak import gap
from multimodal_lab.stats.paired import Paired, paired
from multimodal_lab.study.ledger.outcomes import Outcomes, Scores


def leak_gap(found: Outcomes) -> dict[str, dict[str, Any]]:
    """{label, and its arm where there are several: both scores, the gap, its interval and p}; {} without such cells.

    Of the seeds that the arm has finished on both kinds of split. The gap voids nothing: it says what a score on random
    splits of these data would have flattered by.
    """
    study = found.plan.study
    told = {}
    for arm in study.leak:
        for label in study.labels:
            try:
                own, random = (found.scores(label, [name]) for name in (arm, f"{arm}_random"))
            except StudyError:  # not trained yet
                continue
            seeds = [s for s in own.seeds if s in random.seeds]
            if not seeds or own.splits != random.splits:
                continue
            dealt, held = _alone(random, f"{arm}_random", seeds), _alone(own, arm, seeds)
            one = gap(dealt, held, found.test_per_train)
            told[label if len(study.leak) == 1 else f"{label}, {arm}"] = {
                "arm": arm, "score": {"name": own.by.score.name}, "random": dealt.mean, "grouped": held.mean,
                "gap": one.mean, "low": one.low,
                "high": one.high, "p": one.p, "seeds": seeds,
            }  # fmt: skip
    return told


def _alone(scores: Scores, arm: str, seeds: list[int]) -> Paired:
    """An arm's own scores, by seed, split and group."""
    own = scores.score[arm][[scores.seeds.index(s) for s in seeds]]
    own = scores.by.score.sign * own  # as it is told: of a loss, random splits flatter where the gap is below 0
    return paired(np.where(np.isnan(own), np.nan, 0.0), own, scores.groups)
