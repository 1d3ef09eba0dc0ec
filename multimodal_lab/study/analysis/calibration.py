"""How well the probabilities of every arm are calibrated."""

from __future__ import annotations

from typing import Any

import numpy as np

from multimodal_lab.stats.answers import Answers
from multimodal_lab.stats.calibration import calibrated_ece, ece, reliability
from multimodal_lab.study.ledger.outcomes import Outcomes, Scores
from multimodal_lab.study.ledger.predictions import Outcome
from multimodal_lab.study.ledger.scoring import answers


def calibration(found: Outcomes, scores: Scores) -> dict[str, Any] | None:
    """{arm: its ECE, that of every run, that of answers as uncertain that are calibrated, and its bins over all runs}.

    ECE is the mean over runs; a point without an interval, since it is biased upwards. None of numbers, and where the cells
    kept no probabilities.
    """
    if scores.by.kind == "values":
        return None
    told: dict[str, Any] = {}
    for arm in scores.score:
        judged = (found.outcome(e, scores.label, scores.stream[arm]) for e in found.cells(arm, scores))
        own = [o for o in judged if o is not None]
        if not own or any(o.outputs is None or (scores.by.kind == "labels" and o.targets is None) for o in own):
            return None
        runs = [_answered(scores, o) for o in own]
        said, right = (np.concatenate([run[k] for run in runs]) for k in (0, 1))
        bins = reliability(said, right)
        told[arm] = {
            "ece": float(np.mean([ece(*run) for run in runs])),
            "runs": [ece(*run) for run in runs],
            "calibrated": float(np.mean([calibrated_ece(run[0]) for run in runs])),
            "bins": [{"n": int(n), "confidence": mean, "right": share} for n, mean, share in bins.tolist()],
        }
    return told


def _answered(scores: Scores, o: Outcome) -> tuple[np.ndarray, np.ndarray]:
    """Confidence and 1 or 0 of every answer; several labels are as many answers."""
    a: Answers = answers(scores.by.kind, o)
    if a.kind == "labels":
        yes = a.said > 0.5
        return np.where(yes, a.said, 1 - a.said).ravel(), (yes == (a.truth > 0)).ravel().astype(float)
    return a.said.max(1).clip(0, 1), (a.said.argmax(1) == a.truth).astype(float)
