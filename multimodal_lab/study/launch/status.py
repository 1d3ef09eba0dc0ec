"""Print the status of a study's cells: finished, scores, failures and their reasons."""

from __future__ import annotations

import math
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from multimodal_lab.runs import hashes
from multimodal_lab.runs.summary import of_split
from multimodal_lab.study.design.plan import StudyPlan
from multimodal_lab.study.ledger import ledger
from multimodal_lab.study.ledger.ledger import TOGETHER, Entry, State
from multimodal_lab.study.ledger.metric import metric
from multimodal_lab.text import and_more, printable

STATES: tuple[State, ...] = ("finished", "running", "failed", "partial", "waiting")
SHOWN = 10
KINDS = ("accuracy", "accuracy_micro", "labels_right", "r2")  # labels_right: of runs of an earlier version


def lines(folder: Path, made: StudyPlan, found: Sequence[Entry]) -> Iterator[str]:
    """How many cells are in which state, then failures, mixtures and directories that are no longer of the plan."""
    counts = Counter(e.state for e in found)
    states = ", ".join(f"{counts[s]} {s}" for s in STATES if counts[s])
    yield f"{folder}: {len(found)} cells: {states or 'none'}"
    if made.tuning and not made.cells:
        yield "every arm is tuned first: its cells are planned when these are finished"
    failed = [e for e in found if e.state == "failed"]
    yield from (printable(f"failed: {e.folder.name}: {e.why}", one_line=True) for e in failed[:SHOWN])
    if more := and_more(failed, SHOWN, "failed"):
        yield more
    yield from (printable(f"warning: {said}") for said in [*ledger.mixed(found), *ledger.versions(found)])
    if old := ledger.others(folder, made):
        yield f"{len(old)} directories are no cells of this study as it is now and not counted, such as {old[0]}"


def table(folder: Path, made: StudyPlan, found: Sequence[Entry], console: Console | None = None) -> None:
    """Print a row an arm: its cells, and for each label the mean ± sd over finished cells of its stream's score.

    The score is that of runs by themselves, such as accuracy, whatever the study judges by: its name stands below the label.
    What is tuned has a column more: the tuning cells, which are scored on other samples and in no mean.
    """
    console = console or Console(width=None if sys.stdout.isatty() else 160)
    drawn = Table(box=box.SIMPLE_HEAD, title_justify="left")
    for column in ("arm", "is", *(["tuned"] if made.tuning else []), "cells"):
        drawn.add_column(column, no_wrap=True)
    judge = made.study.evaluator
    done = next((e.summary for e in found if e.state == "finished"), None)
    for label in made.study.labels:
        named = "" if done is None else f"\n{metric(done, judge or hashes.judge(done), label)}"
        drawn.add_column(printable(label) + named, justify="right", no_wrap=True)
    for arm in dict.fromkeys([*made.study.overrides(), *made.retrained.values(), *made.study.leaks()]):
        own = [e for e in found if e.cell.arm == arm and e.cell.role != "tuning"]
        tried = [e for e in found if e.cell.arm == arm and e.cell.role == "tuning"]
        scores = [[s for e in own if (s := score(e, label, judge)) is not None] for label in made.study.labels]
        known = {*made.study.overrides(), *made.study.leaks()}
        role = made.study.role(arm) if arm in known else "retrained"
        tuned = [_states(tried) if tried else ""] if made.tuning else []
        drawn.add_row(arm, role, *tuned, _states(own), *(_spread(values) for values in scores))
    console.print(drawn)
    for line in [*lines(folder, made, found), *(f"warning: {w}" for w in made.warnings)]:
        console.print(printable(line), highlight=False, markup=False, soft_wrap=True)


def score(entry: Entry, label: str, judge: str | None = None) -> float | None:
    """The score of a label, from fused or late if there is one, else the arm's best stream or head; None if unfinished.

    judge: the evaluator, where the study names it. What was scored on the validation split is of a tuning cell.
    """
    streams: dict[str, float] = {}
    judge = judge or hashes.judge(entry.summary)
    for key, value in of_split(entry.summary)[1].items():
        parts = key.split("/")
        if len(parts) == 4 and parts[0] == judge and parts[2] == label and parts[3] in KINDS and "@" not in parts[1]:
            streams[parts[1]] = float(value)
    together = [streams[name] for name in TOGETHER if name in streams]
    return together[0] if together else max(streams.values(), default=None)


def _states(own: Sequence[Entry]) -> str:
    counts = Counter(e.state for e in own)
    rest = [f"{counts[s]} {s}" for s in STATES[1:] if counts[s]]
    return f"{counts['finished']}/{len(own)}" + (f" ({', '.join(rest)})" if rest else "")


def _spread(values: Sequence[float]) -> str:
    known = [v for v in values if math.isfinite(v)]  # an undefined score is in no mean
    if not known:
        return "–"
    sd = statistics.stdev(known) if len(known) > 1 else math.nan
    return f"{statistics.fmean(known):.3f}" + ("" if math.isnan(sd) else f" ± {sd:.3f}")
