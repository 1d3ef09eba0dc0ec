"""Runs that collapsed: near chance while the same arm's other seeds are not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from multimodal_lab.study.ledger.outcomes import Scores

FEWEST = 3  # seeds of an arm: of two, either may be the odd one
LEAST = 0.15  # of a score: what is no more than this above chance can't be told from a collapse by one run
NEAR = 0.25  # of what siblings have above chance
SPREADS = 5.0


@dataclass(frozen=True)
class Collapse:
    """A run near chance on a split where its arm's other seeds, whose scores are from `low` to `high`, are not."""

    label: str
    arm: str
    seed: int
    split: int
    score: float
    low: float
    high: float
    chance: float

    def __str__(self) -> str:
        where = f"{self.label}: seed {self.seed} of {self.arm} on split {self.split} collapsed"
        others = f"its other seeds score {_short(self.low)} to {_short(self.high)}, chance is {_short(self.chance)}"
        return f"{where}: it scores {_short(self.score)}, {others}"


def collapsed(scores: Scores, chance: float | None) -> list[Collapse]:
    """The collapsed runs of every arm of a label; none where chance is not known.

    A run counts as such where the median of its arm's other seeds on the split is 15 points above chance or more, and it keeps
    at most a quarter of that and is below the median by 5 of their spreads (1.4826 x the median absolute deviation: Hampel 1974).
    """
    if chance is None or len(scores.seeds) < FEWEST:
        return []
    return [
        one for arm, score in scores.score.items() for one in _of_arm(scores, arm, np.nanmean(score, axis=2), chance)
    ]


def without(scores: Scores, found: Sequence[Collapse]) -> Scores | None:
    """The same without the seeds of these runs, in all arms; None where fewer than two are left."""
    keep = [i for i, seed in enumerate(scores.seeds) if seed not in {one.seed for one in found}]
    if len(keep) < 2:
        return None
    seeds = [scores.seeds[i] for i in keep]
    score, each, same = (
        {arm: of[keep] for arm, of in some.items()} for some in (scores.score, scores.each, scores.same_as)
    )
    return replace(scores, score=score, each=each, same_as=same, seeds=seeds)


def _of_arm(scores: Scores, arm: str, runs: np.ndarray, chance: float) -> Iterator[Collapse]:
    for s, seed in enumerate(scores.seeds):
        for r, split in enumerate(scores.splits):
            others = np.delete(runs[:, r], s)
            middle = float(np.median(others))
            spread = 1.4826 * float(np.median(np.abs(others - middle)))
            above = middle - chance
            if above >= LEAST and middle - runs[s, r] >= max(SPREADS * spread, (1 - NEAR) * above):
                yield Collapse(
                    scores.label, arm, seed, split, float(runs[s, r]), float(others.min()), float(others.max()), chance
                )


def _short(x: float) -> str:
    return f"{x:.2f}".replace("0.", ".", 1) if abs(x) < 1 else f"{x:.2f}"
