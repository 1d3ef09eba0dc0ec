"""The verdicts of a study: all comparisons, Holm-corrected together, by the rules of docs/verdict.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from multimodal_lab.config.problem import StudyError
from multimodal_lab.stats.crossed import Crossed
from multimodal_lab.stats.equivalence import Equivalence, over_arms, within
from multimodal_lab.stats.holm import holm
from multimodal_lab.stats.method_verdict import method_verdict
from multimodal_lab.stats.verdict import ONE_SIDED, ControlEvidence, Difference, Evidence, Verdict, difference, verdict
from multimodal_lab.study.analysis.collapse import Collapse, collapsed, without
from multimodal_lab.study.analysis.compare import Comparison, Guard, compare, mean, repeats
from multimodal_lab.study.audit import record
from multimodal_lab.study.ledger import metric
from multimodal_lab.study.ledger.outcomes import Outcomes, Scores
from multimodal_lab.study.ledger.scoring import RECORDED

Key = tuple[str, str, str]
Adjusted = dict[Key, tuple[float, float]]  # p, and p above 0


@dataclass(frozen=True)
class Judged:
    """A comparison with its verdict; gain, equivalence and controls with their Holm-adjusted p; problems: what makes it void."""

    of: Comparison
    verdict: Verdict
    gain: Difference
    equivalence: Equivalence
    controls: Sequence[ControlEvidence]
    problems: Sequence[str] = ()


@dataclass(frozen=True)
class Answer:
    """The answer of a study for one label. why: the reason where nothing could be compared; then there are no comparisons.

    collapsed: runs near chance whose siblings are not; without: the headline of the comparisons without their seeds.
    """

    label: str
    scores: Scores | None
    means: dict[str, Crossed] = field(default_factory=dict)
    judged: Sequence[Judged] = ()
    why: str = ""
    collapsed: Sequence[Collapse] = ()
    without: Judged | None = None

    @property
    def beside(self) -> list[str]:
        """What is told of collapsed runs, a sentence each."""
        told = [f"{one}." for one in self.collapsed]
        seeds = ", ".join(str(s) for s in sorted({one.seed for one in self.collapsed}))
        few = f"{self.label}: without seed {seeds} too few are left for a verdict beside."
        if self.without is not None:
            v = self.without.verdict
            few = f"{self.label}: without seed {seeds} the verdict would be {v.kind}: {v.sentence} What counts has all seeds."
        return [*told, few] if told else []

    @property
    def headline(self) -> Judged | None:
        """The comparison with the better baseline that answers for the label: one that adds, else the one of most gain.

        Of methods the one of most gain over the reference.
        """
        own = [j for j in self.judged if j.of.better]
        return max(own, key=lambda j: (j.verdict.kind == "adds", j.of.gain.mean), default=None)


def judge(found: Outcomes) -> list[Answer]:
    """Every label's answer. Gains over the better modality are corrected over the report, leads over all of the same control,
    equivalence over the arms that are compared with one baseline on one label: one of them answers for it.

    Where runs collapsed, the verdict without their seeds stands beside.
    """
    asked = [_scores(found, label) for label in found.plan.study.labels]
    answers = _answers(found, asked)
    lost = [collapsed(a.scores, _chance(found, a.label)) if a.scores else [] for a in asked]
    if not any(lost):
        return answers
    fewer = [without(a.scores, some) if a.scores and some else a.scores for a, some in zip(asked, lost, strict=True)]
    again = _answers(found, [replace(a, scores=scores) for a, scores in zip(asked, fewer, strict=True)])
    return [
        replace(answer, collapsed=some, without=other.headline if some else None)
        for answer, some, other in zip(answers, lost, again, strict=True)
    ]


def _answers(found: Outcomes, asked: Sequence[Answer]) -> list[Answer]:
    ratio = found.test_per_train if found.finished else None
    pairs = [compare(found.plan.study, a.scores, ratio) if a.scores else [] for a in asked]
    every = [c for own in pairs for c in own]
    gains, leads, equal = _gains(every), _leads(every), _equal(every)
    pairs = [[_corrected(c, every, leads) for c in own] for own in pairs]
    return [
        replace(
            answer,
            means={arm: mean(answer.scores, arm, ratio) for arm in answer.scores.score} if answer.scores else {},
            judged=[_judged(found, answer, c, gains, leads, equal) for c in own],
        )
        for answer, own in zip(asked, pairs, strict=True)
    ]


def _chance(found: Outcomes, label: str) -> float | None:
    """Of a share; None of a loss, whose scale says nothing of how far a run is from its siblings."""
    by = found.scoring(label)
    if by.score.name in RECORDED:
        return metric.chance(found.finished[0].summary, found.evaluator, label)
    return by.constant if by.score.share else None


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
    found: Outcomes,
    answer: Answer,
    c: Comparison,
    gains: Adjusted,
    leads: dict[str, Adjusted],
    equal: dict[Key, Equivalence],
) -> Judged:
    score = c.by.score
    gain = difference(c.gain, *gains[c.label, c.arm, c.baseline], score=score)
    controls = [
        ControlEvidence(
            g.name,
            difference(g.gain, g.gain.p, score=score),
            difference(g.lead, *leads[g.name][c.label, c.arm, g.arm], score=score),
            _small(g, c),
        )
        for g in c.controls
    ]
    same = equal[c.label, c.arm, c.baseline]
    evidence = Evidence(
        gain, same, controls, c.detectable, c.gain.seeds, problems=[*problems(found, c.label), *_one_class(answer)],
        need=c.need.sentence, baseline=c.baseline, fused=c.arm, better=c.better, note=_note(c),
    )  # fmt: skip
    rules = method_verdict if found.plan.study.compares == "methods" else verdict
    return Judged(c, rules(evidence), gain, same, controls, evidence.problems)


def _note(c: Comparison) -> str:
    return "; ".join(filter(None, [repeats(c.repeated) if c.repeated else "", c.few]))


def _small(guard: Guard, c: Comparison) -> bool:
    return within(guard.pairs, guard.gain, c.margin) < c.by.score.small


def _one_class(answer: Answer) -> list[str]:
    assert answer.scores is not None
    scores = answer.scores
    tested = ~np.isnan(next(iter(scores.score.values()))[0])
    alone = [r for r, rows in zip(scores.splits, tested, strict=True) if len(set(scores.truth[rows])) < 2]
    return [f"the test part of split {r} has one class of {answer.label} only" for r in alone]


def _gains(comparisons: Sequence[Comparison]) -> Adjusted:
    """{(label, arm, baseline): adjusted p}: gains over the better modality are one family, those over weaker ones another."""
    found: Adjusted = {}
    for best in (True, False):
        found |= _adjusted({(c.label, c.arm, c.baseline): c.gain for c in comparisons if c.better == best})
    return found


def _equal(comparisons: Sequence[Comparison]) -> dict[Key, Equivalence]:
    """{(label, arm, baseline): whether they are equal}, adjusted over the arms against the same baseline."""
    found: dict[Key, Equivalence] = {}
    for key in dict.fromkeys((c.label, c.baseline) for c in comparisons):
        own = [c for c in comparisons if (c.label, c.baseline) == key]
        equal = over_arms([c.equivalence for c in own])
        found |= {(c.label, c.arm, c.baseline): e for c, e in zip(own, equal, strict=True)}
    return found


def _leads(comparisons: Sequence[Comparison]) -> dict[str, Adjusted]:
    """{kind of control: {(label, arm, control arm): adjusted p of the lead}}: one correction for each kind."""
    found: dict[str, dict[Key, Crossed]] = {}
    for c in comparisons:  # the lead is the same whatever the baseline
        for g in c.controls:
            found.setdefault(g.name, {})[c.label, c.arm, g.arm] = g.lead
    return {name: _adjusted(own) for name, own in found.items()}


def _corrected(c: Comparison, all_of: Sequence[Comparison], leads: dict[str, Adjusted]) -> Comparison:
    """The comparison with the strictest levels that Holm's correction may leave of its tests."""
    alike = sum(other.better == c.better for other in all_of)
    return replace(c, alpha=ONE_SIDED / alike, lead_alpha={name: ONE_SIDED / len(own) for name, own in leads.items()})


def _adjusted(found: dict[Key, Crossed]) -> Adjusted:
    """The two-sided and the one-sided p of each difference, by Holm among themselves."""
    if not found:
        return {}
    both, above = (holm(np.array(p)) for p in ([c.p for c in found.values()], [c.p_above for c in found.values()]))
    return {key: (float(p), float(q)) for key, p, q in zip(found, both, above, strict=True)}
