"""`python -m multimodal_lab.study plan runs=PILOT effect=0.03`: how many seeds, groups and samples the next study needs."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from multimodal_lab.config.problem import StudyError
from multimodal_lab.stats.components import Design
from multimodal_lab.study.analysis.forecast import ENOUGH, STUDIES, Forecast, Option, forecast
from multimodal_lab.study.analysis.judge import Answer, judge
from multimodal_lab.study.ledger import outcomes
from multimodal_lab.study.ledger.outcomes import Outcomes
from multimodal_lab.text import nearest, printable

ROUGH = 5  # seeds: of fewer the parts of the variance are little known


def plan_more(words: dict[str, str]) -> None:
    """Print a table for each label; `words`: runs, effect, and label for one alone. `StudyError` where they don't fit."""
    effect = _effect(words.get("effect"))
    found = outcomes.load(Path(words["runs"]))
    if not found.finished:
        raise StudyError(f"runs={words['runs']}: no cell is finished, so that there is no pilot to plan from")
    if found.plan.study.compares == "methods":
        raise StudyError(
            f"runs={words['runs']}: compares methods, and what is planned is the power of adds, over a modality and its "
            "controls; study.json tells the smallest gain that would be called better (detectable)"
        )
    label = words.get("label")
    if label is not None and label not in found.plan.study.labels:
        near = nearest(label, found.plan.study.labels)[0]
        raise StudyError(
            f"label={label}: no label of this study (nearest: {near}); there are {', '.join(found.plan.study.labels)}"
        )
    console = Console(width=None if sys.stdout.isatty() else 160)
    for answer in judge(found):
        if label in (None, answer.label):
            _print(console, found, answer, effect)


def _effect(text: str | None) -> float:
    try:
        effect = float(text or "")
    except ValueError:
        effect = math.nan
    if not 0 < effect < math.inf:
        raise StudyError(
            f"effect={text or ''}: expected a gain above 0 in the unit of the score, such as effect=0.03 for 3 points"
        )
    return effect


def _print(console: Console, found: Outcomes, answer: Answer, effect: float) -> None:
    head = answer.headline
    if head is not None and head.of.by.score.share and effect >= 1:
        raise StudyError(f"effect={effect:g}: {head.of.by.title} is a share, of which 3 points are effect=0.03")
    told = forecast(answer, effect)
    assert head is not None
    size = head.of.by.score.size(effect)
    asked = f"{answer.label}: {ENOUGH:.0%} chance of adds at a gain of {size} ({head.of.arm} over {head.of.baseline})"
    drawn = Table(box=box.SIMPLE_HEAD, title_justify="left", title=printable(asked))
    for column in ("", "seeds", "groups tested", "samples in a group", "chance told", f"in {STUDIES} simulated"):
        drawn.add_column(column, justify="left" if not column else "right")
    for option in told.options:
        drawn.add_row(*_row(told, option))
    console.print(drawn)
    for said in sentences(told, _whole(found), size):
        console.print(printable(said), highlight=False, markup=False, soft_wrap=True)


def _row(told: Forecast, option: Option) -> list[str]:
    if option.design is None:
        return [option.what, "–", "–", "–", f"at most {option.told:.2f}", ""]
    d = option.design
    return [
        option.what,
        str(d.seeds),
        str(d.groups),
        f"{d.samples:.3g}",
        f"{option.told:.2f}",
        f"{told.simulated(d, STUDIES):.2f}",
    ]


def sentences(told: Forecast, whole: float, size: str) -> Iterator[str]:
    """The recommendation, then what it rests on. whole: groups in all parts for each that is tested."""
    _, more, *_ = told.options
    now, best = told.parts.design, told.best
    if more.design is None:
        least = f"with {now.groups} groups in the test part the chance stays at {more.told:.2f} at most"
        yield f"No number of seeds suffices for {size}: {least}."
    if best is None or best.design is None:
        yield "No number of groups suffices either: what the seeds bring stays."
    elif best.what == "the pilot":
        yield f"The pilot is large enough: {_design(best.design, whole)}."
    else:
        yield f"Recommended: {_design(best.design, whole)}."
    yield (
        "Told for controls that gain nothing over the better modality, by the rules of the verdict, with the pilot's own "
        "variances and the levels that Holm's correction may leave."
    )
    if now.seeds < ROUGH or now.groups < 2 * ROUGH:
        few = f"{now.seeds} seeds and {now.groups} groups"
        yield f"The pilot's variances are of {few}, and little known: plan with room to spare."


def _design(d: Design, whole: float) -> str:
    groups = f"{d.groups} groups in the test part"
    return f"{d.seeds} seeds, {groups}" + (
        f" ({math.ceil(whole * d.groups)} in all at the pilot's split)" if whole > 1 else ""
    )


def _whole(found: Outcomes) -> float:
    summary = found.finished[0].summary
    return float(sum(summary.get(f"data/{part}", 0) for part in ("train", "val", "test")) / summary["data/test"])
