"""The answer of a study for one label in the words of the question: what tells it, and what adding the others changes.

Every clause states one verdict and no more: "changes nothing that matters" is *redundant*, "not known" is *underpowered*,
and so on (docs/verdict.md, "How to read the answer").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from multimodal_lab.stats.score import Score
from multimodal_lab.stats.verdict import REQUIRED, Difference
from multimodal_lab.study.analysis.judge import Answer, Judged

Seen = Mapping[str, tuple[str, ...]]
WHOLE = 0.1  # from this gain on, points are told without decimals, below with one


@dataclass(frozen=True)
class Unit:
    """How the sentence writes a score; chance: what needs no modality, None where that is not known or the score has none.

    title: what stands before a level, where that is not the score's own.
    """

    score: Score
    chance: float | None = None
    title: str = ""

    @property
    def least(self) -> float | None:
        """What a modality that tells the label scores more than: chance, or the mean of the training part, whose R² is 0."""
        return 0.0 if self.chance is None and self.score.name == "r2" else self.chance

    def level(self, mean: float, named: bool = True) -> str:
        """`.96`; `R² .41`. mean: as the study's test has it, a loss with its sign turned."""
        text = self.score.told(self.score.sign * mean)
        title = self.title or self.score.title
        return text if title == "accuracy" or not named else f"{title} {text}"

    def size(self, gain: float) -> str:
        """`51 points`, `3.4 points of R²`, `0.034`."""
        gain = abs(round(gain, 2 if abs(gain) >= WHOLE else 3) if self.score.share else gain)
        return self.score.size(gain) + (
            f" of {self.score.title}" if self.score.share and self.score.name != "accuracy" else ""
        )

    def changes(self, gain: float, up: str, down: str) -> str:
        """`adds 51 points`; of a loss `lowers log loss by 0.034`."""
        if self.score.higher_is_better:
            return f"{up if gain > 0 else down} {self.size(gain)}"
        return f"{'lowers' if gain > 0 else 'raises'} {self.score.title} by {self.size(gain)}"

    def range(self, gain: Difference) -> str:
        """`+0.4 points, -1.0 to +1.8`; the mean alone where nothing is known of its interval."""
        known = abs(gain.low) < float("inf") and abs(gain.high) < float("inf")
        ends = f", {self.score.signed(gain.low, unit=False)} to {self.score.signed(gain.high, unit=False)}"
        return self.score.signed(gain.mean) + (ends if known else "")


@dataclass(frozen=True)
class Direction:
    """What does adding these modalities to that one change? `judged` answers, in words `clause`."""

    over: str
    added: tuple[str, ...]
    judged: Judged
    clause: str

    @property
    def set(self) -> str:
        """All of them, as `rgb + uv`."""
        return " + ".join((self.over, *self.added))


@dataclass(frozen=True)
class Lead:
    """What the report leads with. words: those of all directions, as `redundant over uv; adds over rgb`."""

    sentence: str
    words: str
    directions: Sequence[Direction]


def lead(answer: Answer, seen: Seen, unit: Unit) -> Lead:
    """The sentence of a label; seen: the modalities of every baseline and fused arm, see `modalities`.

    Of two modalities both directions are told, the one over the better modality first; of more, every set of them that an
    arm was trained on, over the best of its parts. A set's answer is that of the arm that adds, else of the one with most gain.
    """
    singles = [arm for arm in seen if seen[arm] == (arm,) and arm in answer.means]
    singles.sort(key=lambda arm: -answer.means[arm].mean)
    sets = sorted(dict.fromkeys(seen[j.of.arm] for j in answer.judged), key=len)
    found = []
    for parts in sets:
        there = [s for s in singles if s in parts]
        for over in there if len(singles) == len(parts) == 2 else there[:1]:
            own = [j for j in answer.judged if seen[j.of.arm] == parts and j.of.baseline == over]
            found.append(_direction(answer, singles, own, over, tuple(p for p in parts if p != over), unit))
    if not found:
        return Lead(f"no answer for {answer.label}: {answer.why or 'nothing was compared'}.", "invalid", ())
    words = "; ".join(
        f"{d.judged.verdict.kind} over {d.over}" + (f" ({d.set})" if len(sets) > 1 else "") for d in found
    )
    if any(d.judged.problems for d in found):
        return Lead(f"no answer for {answer.label}: the comparison does not stand.", words, found)
    void = {_void(d.judged) for d in found}
    clauses = (
        [d.clause for d in found] if len(void) > 1 or "" in void else [f"what they add cannot be told: {void.pop()}"]
    )
    said = [_alone(answer, singles, unit), *clauses, *_learnt_by_none(answer, singles, unit)]
    return Lead("; ".join(said) + ".", words, found)


def _direction(
    answer: Answer, singles: Sequence[str], own: Sequence[Judged], over: str, added: tuple[str, ...], unit: Unit
) -> Direction:
    judged = max(own, key=lambda j: (j.verdict.kind == "adds", j.of.gain.mean))
    # of two, one's own score comes before all clauses (see `_alone`), the other's stands in its clause
    told = _told(answer, singles, unit)
    beside = len(singles) == 2 and bool(told) and over != told[0]
    base = f"{over} ({unit.level(answer.means[over].mean)})" if beside else over
    better = [s for s in singles if s in added and answer.means[s].mean > answer.means[over].mean]
    clause = _clause(judged, f"adding {_and(added)} to {base}", better[0] if better else "", unit)
    return Direction(over, added, judged, clause)


def _clause(j: Judged, adding: str, better: str, unit: Unit) -> str:
    """What adding changes, as the verdict says. better: a modality among the added that alone scores more than the other."""
    kind, gain = j.verdict.kind, j.gain
    if kind in ("adds", "harms"):
        return f"{adding} {unit.changes(gain.mean, 'adds', 'costs')}"
    if kind == "redundant":
        return f"{adding} changes nothing that matters"
    if kind == "invalid":
        return f"what {adding} changes cannot be told: {_void(j)}"
    if kind == "no evidence" and gain.above():
        alone = f"{better} alone" if better else "more capacity alone"
        return f"{adding} {unit.changes(gain.mean, 'gains', 'loses')}, which {alone} may give"
    told = unit.range(gain)
    if kind == "underpowered":
        return f"what {adding} changes is not known ({told})"
    return f"{adding} is not shown to change anything ({told})"


def _void(j: Judged) -> str:
    """Why an arm's comparison is invalid; "" where it is not."""
    if j.verdict.kind != "invalid":
        return ""
    lacking = {*REQUIRED} - {c.name for c in j.controls}
    return "a control is missing" if lacking else "a control that knows nothing new gains as much"


def _told(answer: Answer, singles: Sequence[str], unit: Unit) -> list[str]:
    """The modalities that alone are shown to score more than what needs none."""
    return [s for s in singles if unit.least is None or answer.means[s].low > unit.least]


def _learnt_by_none(answer: Answer, singles: Sequence[str], unit: Unit) -> list[str]:
    """A clause where no arm is shown to tell the label: what arms did not learn may be there all the same."""
    arms = dict.fromkeys([*singles, *(j.of.arm for j in answer.judged)])
    if unit.least is None or any(answer.means[arm].low > unit.least for arm in arms):
        return []
    return [f"no arm is shown to have learnt {answer.label}, which is no evidence that the data do not hold it"]


def _alone(answer: Answer, singles: Sequence[str], unit: Unit) -> str:
    """What each modality tells alone: `uv alone tells sex (1.00, chance .50)`; of three and more, a list."""
    level = {s: unit.level(answer.means[s].mean) for s in singles}
    told = _told(answer, singles, unit)
    chance = "" if unit.chance is None else f"chance {unit.level(unit.chance, named=False)}"
    if len(singles) > 2:
        each = [f"{s} {level[s]}" + ("" if s in told else " (not shown to be above chance)") for s in singles]
        return f"{answer.label} from one modality: {', '.join(each)}" + (f"; {chance}" if chance else "")
    if told:
        return f"{told[0]} alone tells {answer.label} ({', '.join(filter(None, (level[told[0]], chance)))})"
    who = f"{singles[0]} alone is not" if len(singles) == 1 else f"neither {singles[0]} nor {singles[1]} alone is"
    return f"{who} shown to tell {answer.label} ({', '.join(filter(None, (*level.values(), chance)))})"


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
