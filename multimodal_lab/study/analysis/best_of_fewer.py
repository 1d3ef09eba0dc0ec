"""Of three modalities and more: what an arm of all of them changes over the best arm that lacks one.

The verdicts hold every arm against single modalities. An arm of three that gains much over each of them may gain nothing over
two of them, and then the third is not worth measuring.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from multimodal_lab.stats.crossed import Crossed
from multimodal_lab.stats.equivalence import Equivalence, equivalence, over_arms, rivals
from multimodal_lab.stats.holm import holm
from multimodal_lab.stats.seeds import FEWEST_SEEDS
from multimodal_lab.stats.verdict import Difference, difference
from multimodal_lab.study.analysis.compare import ALPHA, bounds, distinct, pair, runs, test
from multimodal_lab.study.analysis.few_groups import too_few
from multimodal_lab.study.analysis.judge import Answer
from multimodal_lab.study.analysis.sentence import Lead, Seen, Unit
from multimodal_lab.study.ledger.outcomes import Scores


@dataclass(frozen=True)
class OverBest:
    """An arm of all modalities against the best arm of two and more, but not all.

    kept, added: the modalities of the best, and the others. gain: Holm-adjusted over the labels and arms that ask the same;
    raw: before. among: of how many equal arms the best one may be chosen. seeds: that count.
    """

    arm: str
    over: str
    kept: tuple[str, ...]
    added: tuple[str, ...]
    gain: Difference
    raw: Crossed
    equivalence: Equivalence
    among: int
    seeds: int

    @property
    def loses(self) -> bool:
        """Surely below the best, counted that luck chose the best among several."""
        return self.gain.mean < 0 and self.among * self.gain.p < ALPHA

    def clause(self, unit: Unit, level: float) -> str:
        """In words, without a verdict: no control keeps the best and has the rest shuffled. level: the best's own mean."""
        what = "the best two" if len(self.kept) == 2 else "the best of fewer"
        adding = f"adding {' and '.join(self.added)} to {' + '.join(self.kept)}, {what} ({unit.level(level)}),"
        if self.seeds < FEWEST_SEEDS:
            return f"what {adding} changes is not known (of {self.seeds} seeds)"
        if self.equivalence.shown:
            return f"{adding} changes nothing that matters"
        if self.gain.above():
            return f"{adding} {unit.changes(self.gain.mean, 'gains', 'loses')}, which more capacity alone may give"
        if self.loses:
            return f"{adding} {unit.changes(self.gain.mean, 'gains', 'costs')}"
        return f"what {adding} changes is not known ({unit.range(self.gain)})"


def over_best(answers: Sequence[Answer], seen: Seen, test_per_train: float | None) -> dict[str, OverBest]:
    """{label: its comparison}: of several arms of all modalities the one with most gain. {} where no arm has three."""
    found = {}
    for answer in answers:
        if answer.scores is not None and not any(j.problems for j in answer.judged):
            for arm in _whole(answer, seen):
                if (own := _compared(answer.scores, arm, seen, test_per_train)) is not None:
                    found[answer.label, arm] = own
    if not found:
        return {}
    both, above = (
        holm(np.array(p)) for p in ([o.raw.p for o in found.values()], [o.raw.p_above for o in found.values()])
    )
    adjusted = {
        key: replace(own, gain=replace(own.gain, p=float(p), p_above=float(q)))
        for (key, own), p, q in zip(found.items(), both, above, strict=True)
    }
    return {label: _answering([o for (of, _), o in adjusted.items() if of == label]) for label in {k[0] for k in found}}


def _whole(answer: Answer, seen: Seen) -> list[str]:
    """The judged arms of all modalities, three or more."""
    arms = list(dict.fromkeys(j.of.arm for j in answer.judged))
    most = max((len(seen[arm]) for arm in arms), default=0)
    return [arm for arm in arms if len(seen[arm]) == most > 2]


def _compared(scores: Scores, arm: str, seen: Mapping[str, tuple[str, ...]], ratio: float | None) -> OverBest | None:
    fewer = [a for a, parts in seen.items() if len(parts) > 1 and {*parts} < {*seen[arm]} and a in scores.score]
    if not fewer:
        return None
    best = max(fewer, key=lambda a: runs(scores.score[a]).mean())
    raw, pairs = test(scores, best, arm, ratio), pair(scores, best, arm)
    among = rivals([test(scores, other, best, ratio) for other in fewer if other != best])
    by = scores.by
    same = equivalence(pairs, raw, by.margin, by.score.small, among, bounds(scores, best, arm, ratio, raw))
    same = replace(same, p=1.0) if too_few(scores) else same
    added = tuple(m for m in seen[arm] if m not in seen[best])
    gain = difference(raw, raw.p, raw.p_above, score=by.score)
    return OverBest(arm, best, seen[best], added, gain, raw, same, among, len(distinct(scores, best, arm)))


def _answering(own: Sequence[OverBest]) -> OverBest:
    equal = over_arms([o.equivalence for o in own])
    told = [replace(o, equivalence=e) for o, e in zip(own, equal, strict=True)]
    return max(told, key=lambda o: (o.gain.above(), o.gain.mean))


def beside(told: Lead, own: OverBest | None, unit: Unit, answer: Answer) -> Lead:
    """The sentence of a label with this comparison at its end."""
    if own is None or not told.directions:
        return told
    return replace(told, sentence=f"{told.sentence[:-1]}; {own.clause(unit, answer.means[own.over].mean)}.")


def recorded(own: OverBest | None) -> dict[str, Any] | None:
    """As `study.json` has it; None of two modalities."""
    if own is None:
        return None
    gain = {"mean": own.gain.mean, "low": own.gain.low, "high": own.gain.high, "p": own.gain.p, "p_raw": own.raw.p,
            "p_above": own.gain.one_sided}  # fmt: skip
    return {
        "arm": own.arm, "over": own.over, "kept": list(own.kept), "added": list(own.added), "among": own.among, "gain": gain,
        "equivalence": {**asdict(own.equivalence), "shown": own.equivalence.shown},
    }  # fmt: skip
