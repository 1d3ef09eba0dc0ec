"""For which samples is the second modality worth acquiring? The curve over the share that has it, for every direction."""

from __future__ import annotations

from typing import Any

import numpy as np

from multimodal_lab.stats.acquisition import FEWEST, SHARES, Acquisition, acquisition, curve
from multimodal_lab.study.analysis.judge import Answer
from multimodal_lab.study.analysis.sentence import Direction, Lead
from multimodal_lab.study.analysis.where import right_or_wrong
from multimodal_lab.study.ledger.outcomes import Outcomes, Scores
from multimodal_lab.study.ledger.predictions import Outcome

Told = dict[str, Any]


def acquire(found: Outcomes, answer: Answer, told: Lead) -> list[Told]:
    """A curve of accuracy for every direction whose first modality tells how sure it is; [] where nothing may be compared."""
    scores = answer.scores
    if scores is None or not right_or_wrong(scores) or any(d.judged.problems for d in told.directions):
        return []
    made = [_curve(found, scores, d) for d in told.directions]
    return [m for m in made if m is not None]


def _curve(found: Outcomes, scores: Scores, d: Direction) -> Told | None:
    first, both = scores.each[d.judged.of.baseline], scores.each[d.judged.of.arm]
    if len(np.unique(scores.groups)) < FEWEST or (unsure := doubt(found, scores, d.judged.of.baseline)) is None:
        return None
    margin, ratio = d.judged.of.margin, found.test_per_train
    drawn = curve(first, both, unsure, scores.groups, ratio)
    best = acquisition(first, both, unsure, scores.groups, margin, ratio)
    assert best is not None
    loss = {"mean": best.loss.mean, "low": best.loss.low, "high": best.loss.high}
    return {
        "over": d.over, "added": list(d.added), "arm": d.judged.of.arm, "margin": margin, "sentence": _sentence(d, best),
        "share": best.share, "shares": best.shares, "loss": loss, "random": best.random, "small": best.small,
        "curve": [
            {"share": share, "doubt": drawn.doubt[i], "random": drawn.random[i], "oracle": drawn.oracle[i],
             "low": drawn.doubt[-1] - drawn.loss[i].high, "high": drawn.doubt[-1] - drawn.loss[i].low}
            for i, share in enumerate(SHARES)
        ],
    }  # fmt: skip


def _sentence(d: Direction, best: Acquisition) -> str:
    what, gain = " and ".join(d.added), d.judged.gain
    if d.judged.verdict.kind == "redundant":
        return f"{what} beside {d.over} changes nothing that matters, and so need be measured for no sample"
    if not gain.above():
        return f"{what} beside {d.over} is not shown to gain anything that fewer samples could lose"
    every, margin = f"what {what} for all of them gives", f"{100 * best.margin:.3g} points"
    if not best.small or best.share > SHARES[-2]:
        return f"{what} for fewer than all samples is not shown to lose less than {margin} of {every}"
    share = f"{100 * best.share:.0f} %"
    loss = f"{100 * best.loss.mean:.1f} points ({100 * best.loss.low:.1f} to {100 * best.loss.high:.1f})"
    return (
        f"{what} for the {share} of samples of which {d.over} is least sure loses {loss} of {every}, which is shown to be less "
        f"than {margin}; for any {share} it would lose {100 * best.random:.1f}"
    )


def doubt(found: Outcomes, scores: Scores, arm: str) -> np.ndarray | None:
    """1 - the probability that an arm gives its answer, (S, R, N) and NaN where not tested; None where it was not kept."""
    made = np.full(scores.score[arm].shape, np.nan)
    for entry in found.cells(arm, scores):
        outcome = found.outcome(entry, scores.label, scores.stream[arm])
        if outcome is None or (sure := confidence(outcome)) is None:
            return None
        _, mine, theirs = np.intersect1d(scores.ids, outcome.ids, assume_unique=True, return_indices=True)
        made[scores.seeds.index(entry.cell.seed), scores.splits.index(entry.cell.split), mine] = 1 - sure[theirs]
    return made


def confidence(outcome: Outcome) -> np.ndarray | None:
    """The probability (n,) of what was answered; None where it was not kept, or what was told is no class."""
    if outcome.outputs is None or not np.isin(outcome.score, (0, 1)).all():
        return None
    sure: np.ndarray = outcome.outputs.max(1)
    return sure
