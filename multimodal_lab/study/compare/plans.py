"""The plans of a study from the largest to the smallest, and the largest that a budget allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from multimodal_lab.config.problem import StudyError
from multimodal_lab.stats.seeds import FEWEST_SEEDS
from multimodal_lab.study.compare.arms import Arms, Design
from multimodal_lab.study.compare.budget import told
from multimodal_lab.study.compare.request import Request
from multimodal_lab.study.compare.trial import Timing

FEWEST_SPLITS = 3  # fewer only where seeds and arms have been left out


@dataclass(frozen=True)
class Plan:
    """A design with its arms. left_out: what larger ones have besides, in words."""

    design: Design
    arms: Arms
    left_out: tuple[str, ...] = ()

    @property
    def cells(self) -> int:
        """Trainings in all."""
        return (len(self.arms.arms) + len(self.arms.controls)) * len(self.design.seeds) * len(self.design.splits)

    def seconds(self, timing: Timing) -> float:
        """Of all cells, one after another; a control takes as long as its arm."""
        each = [timing.of(a) for a in self.arms.arms] + [timing.of(c["of"]) for c in self.arms.controls.values()]
        return sum(each) * len(self.design.seeds) * len(self.design.splits)


def plans(full: Design, make: Callable[[Design], Arms], asked: Request) -> Iterator[Plan]:
    """Every plan, the largest first. What was typed is in all of them."""
    left: list[str] = []
    design = full
    yield Plan(design, make(design))
    for smaller, what in _steps(full, asked):
        design = smaller(design)
        left.append(what)
        yield Plan(design, make(design), tuple(left))


def largest(found: Iterator[Plan], timing: Timing, budget: float | None, typed: str, jobs: int) -> Plan:
    """The first that fits; `StudyError` where the smallest does not."""
    least: Plan | None = None
    for plan in found:
        if budget is None or plan.seconds(timing) / jobs <= budget:
            return plan
        least = plan
    assert least is not None
    need, splits = told(least.seconds(timing) / jobs), len(least.design.splits)
    over = f"{len(least.design.seeds)} seeds" + (f" and {splits} splits" if splits > 1 else "")
    fewer = "fewer study.splits, " if splits > 1 else ""
    raise StudyError(
        f"study.budget={typed}: the smallest plan, {', '.join(least.arms.arms)} with controls over {over}, has "
        f"{least.cells} cells, which take about {need}; give that, {fewer}fewer labels, a smaller data.size or train.epochs"
    )


def _steps(full: Design, asked: Request) -> Iterator[tuple[Callable[[Design], Design], str]]:
    """What is left out first: what is reported only, then what tells least for its time."""
    if full.within:
        yield (lambda d: replace(d, within=())), "pairs shuffled within a class"
    splits = [] if "splits" in asked.study else list(range(len(full.splits) - 1, 0, -1))
    seeds = [] if "seeds" in asked.study else list(range(len(full.seeds) - 1, FEWEST_SEEDS - 1, -1))
    for n in (n for n in splits if n >= FEWEST_SPLITS):
        yield (lambda d, n=n: replace(d, splits=full.splits[:n])), f"split {full.splits[n]}"  # type: ignore[misc]
    if full.pairs:
        yield (lambda d: replace(d, pairs=False)), "every two modalities"
    fused = [*(["early"] if full.early else []), *full.fusions]
    last = "concat" if "concat" in fused else fused[0]
    drop = [arm for arm in fused if arm != last]
    for arm in (a for a in drop if a not in ("early", "late")):
        yield _but(arm), f"the arm {arm}"
    for n in seeds:
        yield (lambda d, n=n: replace(d, seeds=full.seeds[:n])), f"seed {full.seeds[n]}"  # type: ignore[misc]
    if "early" in drop:
        yield _but("early"), "the arm early"
    for n in (n for n in splits if n < FEWEST_SPLITS):
        yield (lambda d, n=n: replace(d, splits=full.splits[:n])), f"split {full.splits[n]}"  # type: ignore[misc]
    if "late" in drop:
        yield _but("late"), "the arm late"


def _but(arm: str) -> Callable[[Design], Design]:
    """A design less one fused arm."""
    if arm == "early":
        return lambda d: replace(d, early=False)
    return lambda d: replace(d, fusions=tuple(f for f in d.fusions if f != arm))
