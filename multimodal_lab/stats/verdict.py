"""The verdict on a second modality: the rules of docs/verdict.md, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from multimodal_lab.stats.crossed import Crossed
from multimodal_lab.stats.equivalence import Equivalence
from multimodal_lab.stats.score import ACCURACY, Score
from multimodal_lab.stats.seeds import FEWEST_SEEDS

VerdictKind = Literal["adds", "redundant", "harms", "no evidence", "underpowered", "invalid"]
MethodKind = Literal["better", "worse", "alike", "not known", "invalid"]  # of two methods, see `method_verdict`
REQUIRED = ("shuffled across classes", "duplicate")
WITHIN = "shuffled within class"
ONE_SIDED = 0.045  # of a gain and of a lead; at .05 a world of the table was wrong in more than .05


@dataclass(frozen=True)
class Difference:
    """A mean difference, its 95 % interval, and its two-sided p, Holm-adjusted as docs/verdict.md says.

    score: in whose unit it is told, more being better.
    p_above: the one-sided p of a difference above 0, adjusted among such; None is half of a positive difference's p.
    """

    mean: float
    low: float
    high: float
    p: float
    p_above: float | None = None
    score: Score = ACCURACY

    @property
    def one_sided(self) -> float:
        """The p of what is claimed in one direction: that fusion gains, that it leads."""
        half = self.p / 2 if self.mean > 0 else 1 - self.p / 2
        return half if self.p_above is None else self.p_above

    def above(self, alpha: float = ONE_SIDED) -> bool:
        """Surely more than 0, one-sided."""
        return self.mean > 0 and self.one_sided < alpha

    def differs(self, alpha: float) -> bool:
        """Surely other than 0, two-sided."""
        return self.p < alpha

    def __str__(self) -> str:
        return f"{self.score.signed(self.mean)} ({self.plain(self.low)} to {self.plain(self.high)}, p {_p(self.p)})"

    def plain(self, x: float) -> str:
        """A difference in this unit, without the unit's name."""
        return self.score.signed(x, unit=False)

    @property
    def claimed(self) -> str:
        """The same with the one-sided p."""
        span = f"{self.plain(self.low)} to {self.plain(self.high)}"
        return f"{self.score.signed(self.mean)} ({span}, one-sided p {_p(self.one_sided)})"


@dataclass(frozen=True)
class ControlEvidence:
    """A negative control: what it gains over the baseline, and by how much the fused arm leads it (paired).

    small: its gain is shown to be within the margin.
    """

    name: str
    gain: Difference
    lead: Difference
    small: bool = False

    @property
    def guards(self) -> bool:
        """Whether it may know nothing new; what is shuffled within a class keeps the class, and only tells."""
        return self.name in REQUIRED


@dataclass(frozen=True)
class Evidence:
    """All that a verdict may look at.

    gain: fused minus a single modality, the better one unless `better` says otherwise; detectable: the smallest gain at
    which *adds* has a chance of 80 %, at the corrected levels; worth: the smallest gain that the study set out to see
    (None: twice the margin); problems: what makes the comparison void
    (unequal splits or budgets, a label confounded with a group, mixed data), as sentences; need: the sentence of `power`;
    note: what any sentence ends with.
    Differences are in the unit of the gain's score, more being better: of a share 0.01 is one point.
    """

    gain: Difference
    equivalence: Equivalence
    controls: Sequence[ControlEvidence]
    detectable: float
    seeds: int
    worth: float | None = None
    alpha: float = 0.05
    problems: Sequence[str] = ()
    need: str = ""
    baseline: str = "the better single modality"
    fused: str = "fusion"
    better: bool = True
    required: Sequence[str] = field(default=REQUIRED)
    note: str = ""


@dataclass(frozen=True)
class Verdict:
    """One of six words (of two methods, one of five), and why in a sentence."""

    kind: VerdictKind | MethodKind
    sentence: str


def difference(found: Crossed, p: float, p_above: float | None = None, score: Score = ACCURACY) -> Difference:
    """A crossed test's result with its Holm-adjusted p."""
    return Difference(found.mean, found.low, found.high, p, p_above, score)


def verdict(e: Evidence) -> Verdict:
    """The first rule that holds. Rules 1 to 9 of docs/verdict.md."""
    found = _first(e)
    return replace(found, sentence=f"{found.sentence} {e.note[0].upper()}{e.note[1:]}.") if e.note else found


def _first(e: Evidence) -> Verdict:
    void = _void(e)
    if void:
        return Verdict("invalid", void)
    if e.seeds < FEWEST_SEEDS:
        few = f"{e.seeds} seed{_s(e.seeds)} cannot tell a gain from luck; {FEWEST_SEEDS} are the least."
        return Verdict("underpowered", few)
    if as_good := _as_good(e):
        return Verdict("invalid", as_good)
    if e.equivalence.shown:
        return Verdict("redundant", _redundant(e))
    if e.gain.mean < 0 and e.gain.differs(e.alpha):
        return Verdict("harms", f"{e.fused} loses to {e.baseline}: {e.gain}.")
    if e.gain.above():
        unsure = [c for c in e.controls if c.guards and not c.lead.above()]
        if unsure:
            return Verdict("no evidence", _unsure(e, unsure[0]))
        return Verdict("adds", _adds(e))
    worth, size = 2 * e.equivalence.margin if e.worth is None else e.worth, e.gain.score.size
    unseen = f"{e.fused} against {e.baseline}: {e.gain}, neither surely other than 0 nor surely within the margin of "
    unseen += size(e.equivalence.margin)
    if e.detectable > worth:
        need = f"; {e.need}" if e.need else ""
        sees = f"of a study of this size 80 % would find a gain of {size(e.detectable)}, and {size(worth, unit=False)} matter"
        if e.detectable == float("inf"):
            sees = f"no gain, however large, would be found by 80 % of studies of this size, and {size(worth)} matter"
        return Verdict("underpowered", f"{unseen}; {sees}{need}.")
    sees = f"though a gain of {size(e.detectable)} would have been found with 80 % chance"
    return Verdict("no evidence", f"{unseen}, {sees}.")


def _void(e: Evidence) -> str:
    if e.problems:
        return "the comparison does not stand: " + "; ".join(e.problems) + "."
    there = {c.name for c in e.controls}
    missing = [name for name in e.required if name not in there]
    if missing:
        return f"without the control{_s(len(missing))} {' and '.join(missing)} a gain cannot be told from capacity."
    return ""


def _as_good(e: Evidence) -> str:
    for c in e.controls:
        if c.guards and c.gain.mean > 0 and c.gain.differs(e.alpha) and not c.small and not c.lead.above():
            return (
                f"the control {c.name} gains as much: {c.gain} over the better single modality, though it knows nothing new; "
                f"{e.fused} gains {e.gain} and leads the control by {c.lead.claimed}. What is seen is capacity, a weak baseline "
                "or a leak."
            )
    return ""


def _redundant(e: Evidence) -> str:
    inside = f"the difference from {e.baseline} is within {e.gain.score.size(e.equivalence.margin)}"
    shown = f"{e.gain.plain(e.equivalence.low)} to {e.gain.plain(e.equivalence.high)}, p {_p(e.equivalence.p)}"
    sure = e.gain.differs(e.alpha) or e.gain.above()
    tail = f" A difference of {e.gain.plain(e.gain.mean)} is sure, and too small to matter." if sure else ""
    return f"{inside} ({shown}).{tail}"


def _unsure(e: Evidence, c: ControlEvidence) -> str:
    lead = f"its lead over the control {c.name} is not sure: {c.lead.claimed}"
    return f"{e.fused} gains {e.gain.claimed} over {e.baseline}, but {lead}. " + (
        "The gain may be capacity." if e.better else "What that control keeps, the better modality alone, may give it."
    )


def _adds(e: Evidence) -> str:
    leads = "; ".join(f"{c.name} {c.lead.claimed}" for c in e.controls if c.guards)
    tail = ""
    for c in e.controls:
        if c.name == WITHIN:
            sure = "needs the true pairs" if c.lead.above() else "is not shown to need the true pairs"
            tail = f" The gain {sure}: against pairs shuffled within the class it leads by {c.lead.claimed}."
    if e.better and all(c.gain.mean < 0 and c.gain.differs(e.alpha) and not c.small for c in e.controls if c.guards):
        tail += f" Every control loses to {e.baseline}, so that none shows what capacity alone would add to it."
    return f"{e.fused} gains {e.gain.claimed} over {e.baseline}, and leads its controls: {leads}.{tail}"


def _p(value: float) -> str:
    return "< .001" if value < 0.001 else f"{value:.3f}".lstrip("0")


def _s(count: int) -> str:
    return "" if count == 1 else "s"
