"""The verdicts of a study: all comparisons, Holm-corrected together, by the rules of docs/verdict.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from multimodal_lab.config.problem import StudyError
from multimodal_lab.stats.crossed import Crossed
from multimodal_lab.stats.equivalence import equivalence
from multimodal_lab.stats.holm import holm
from multimodal_lab.stats.verdict import ControlEvidence, Difference, Evidence, Verdict, difference, verdict
from multimodal_lab.study.analysis.compare import ALPHA, Comparison, Guard, compare, mean
from multimodal_lab.study.audit import record
from multimodal_lab.study.ledger.outcomes import Outcomes, Scores


@dataclass(frozen=True)
class Judged:
    """A comparison with its verdict; gain and controls with their Holm-adjusted p; problems: what makes it void."""

    of: Comparison
    verdict: Verdict
    gain: Difference
    controls: Sequence[ControlEvidence]
    problems: Sequence[str] = ()


@dataclass(frozen=True)
class Answer:
    """The answer of a study for one label. why: the reason where nothing could be compared; then there are no comparisons."""

    label: str
    scores: Scores | None
    means: dict[str, Crossed] = field(default_factory=dict)
    judged: Sequence[Judged] = ()
    why: str = ""

    @property
    def headline(self) -> Judged | None:
        """The comparison with the better baseline that answers for the label: one that adds, else the one of most gain."""
        own = [j for j in self.judged if j.of.better]
        return max(own, key=lambda j: (j.verdict.kind == "adds", j.of.gain.mean), default=None)


def judge(found: Outcomes) -> list[Answer]:
    """Every label's answer. Gains are corrected over the whole report, leads over all leads of the same control."""
    ratio = found.test_per_train if found.finished else None
    asked = [_scores(found, label) for label in found.plan.study.labels]
    pairs = [compare(found.plan.study, a.scores, ratio) if a.scores else [] for a in asked]
    strict = ALPHA / max(1, sum(map(len, pairs)))  # what Holm's correction may leave of it
    pairs = [[replace(c, alpha=strict) for c in own] for own in pairs]
    every = [c for own in pairs for c in own]
    gains = dict(zip(map(id, every), _adjusted([c.gain.p for c in every]), strict=True))
    leads = _leads(every)
    return [
        replace(
            answer,
            means={arm: mean(answer.scores, arm, ratio) for arm in answer.scores.score} if answer.scores else {},
            judged=[_judged(found, answer, c, gains[id(c)], leads) for c in own],
        )
        for answer, own in zip(asked, pairs, strict=True)
    ]


def problems(found: Outcomes, label: str | None = None) -> list[str]:
    """What voids every comparison of the study or, given a label, every one of that label, a sentence each."""
    return [*found.invalid, *record.problems(found.audit, label, found.data)]


def _scores(found: Outcomes, label: str) -> Answer:
    try:
        scores = found.scores(label)
    except StudyError as error:
        return Answer(label, None, why=str(error))
    study = found.plan.study
    lacking = [b for b in study.baselines if b not in scores.score]
    if lacking or not any(arm in scores.score for arm in study.fused):
        what = f"{' and '.join(lacking)} of the baselines" if lacking else "no fused arm"
        return Answer(label, None, why=f"{label}: nothing to compare, {what} {'was not' if lacking else 'was'} judged")
    return Answer(label, scores)


def _judged(
    found: Outcomes, answer: Answer, c: Comparison, p: float, leads: dict[tuple[str, str, str], float]
) -> Judged:
    gain = difference(c.gain, p)
    controls = [
        ControlEvidence(
            g.name, difference(g.gain, g.gain.p), difference(g.lead, leads[c.label, c.arm, g.arm]), _small(g, c)
        )
        for g in c.controls
    ]
    evidence = Evidence(
        gain, c.equivalence, controls, c.detectable, c.gain.seeds, problems=[*problems(found, c.label), *_one_class(answer)],
        need=c.need.sentence, baseline=c.baseline, fused=c.arm, better=c.better,
    )  # fmt: skip
    return Judged(c, verdict(evidence), gain, controls, evidence.problems)


def _small(guard: Guard, c: Comparison) -> bool:
    return equivalence(guard.gain, c.margin).shown


def _one_class(answer: Answer) -> list[str]:
    assert answer.scores is not None
    scores = answer.scores
    tested = ~np.isnan(next(iter(scores.score.values()))[0])
    alone = [r for r, rows in zip(scores.splits, tested, strict=True) if len(set(scores.truth[rows])) < 2]
    return [f"the test part of split {r} has one class of {answer.label} only" for r in alone]


def _leads(comparisons: Sequence[Comparison]) -> dict[tuple[str, str, str], float]:
    """{(label, arm, control arm): adjusted p of the lead}: one correction for each kind of control."""
    found: dict[str, dict[tuple[str, str, str], float]] = {}
    for c in comparisons:  # the lead is the same whatever the baseline
        for g in c.controls:
            found.setdefault(g.name, {})[c.label, c.arm, g.arm] = g.lead.p
    return {key: p for own in found.values() for key, p in zip(own, _adjusted(list(own.values())), strict=True)}


def _adjusted(p: list[float]) -> list[float]:
    return [float(x) for x in holm(np.asarray(p))] if p else []
