"""The answer of a study of methods for one label: what each tells, and how it differs from the reference."""

from __future__ import annotations

from multimodal_lab.study.analysis.judge import Answer, Judged
from multimodal_lab.study.analysis.sentence import Direction, Lead, Unit


def lead_of_methods(answer: Answer, unit: Unit) -> Lead:
    """Every arm with its score, then every difference from the reference, the largest first."""
    if not answer.judged:
        return Lead(f"no answer for {answer.label}: {answer.why or 'nothing was compared'}.", "invalid", ())
    own = sorted(answer.judged, key=lambda j: -j.of.gain.mean)
    found = [Direction(j.of.baseline, (), j, _clause(j, unit)) for j in own]
    words = "; ".join(f"{d.judged.of.arm} {d.judged.verdict.kind}" for d in found) + f" (against {own[0].of.baseline})"
    if any(j.problems for j in own):
        return Lead(f"no answer for {answer.label}: the comparison does not stand.", words, found)
    clauses = [d.clause for d in found]
    return Lead(f"{answer.label} by method: {_levels(answer, unit)}; {'; '.join(clauses)}.", words, found)


def _levels(answer: Answer, unit: Unit) -> str:
    told = []
    for arm in sorted(answer.means, key=lambda arm: -answer.means[arm].mean):
        mean = answer.means[arm]
        low = unit.least is not None and not mean.low > unit.least
        told.append(f"{arm} {unit.level(mean.mean)}" + (" (not shown to be above chance)" if low else ""))
    chance = "" if unit.chance is None else f"; chance {unit.level(unit.chance, named=False)}"
    return ", ".join(told) + chance


def _clause(j: Judged, unit: Unit) -> str:
    arm, over = j.of.arm, j.of.baseline
    if j.verdict.kind in ("better", "worse"):
        return f"{arm} is {j.verdict.kind} than {over} by {unit.size(j.gain.mean)}"
    if j.verdict.kind == "alike":
        return f"{arm} differs from {over} by nothing that matters"
    return f"whether {arm} differs from {over} is not known ({unit.range(j.gain)})"
