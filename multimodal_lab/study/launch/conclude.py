"""Conclude a study: statistics, verdicts, `study.json` and the report; repeatable."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from multimodal_lab import files
from multimodal_lab.config.problem import StudyError
from multimodal_lab.report import study as report
from multimodal_lab.report.study.question import question
from multimodal_lab.study.analysis import gallery, judge, results
from multimodal_lab.study.launch.explore import explore
from multimodal_lab.study.ledger import outcomes
from multimodal_lab.text import printable


def conclude(folder: Path, console: Console | None = None) -> dict[str, Any]:
    """Judge what is finished, write `study.json` and the report, print the verdicts; returns what `study.json` holds.

    `StudyError` where there is no study, or no cell of it is finished.
    """
    found = outcomes.load(folder)
    if not found.finished:
        tuned = sum(e.state == "finished" for e in found.tried)
        so_far = (
            f" ({tuned} of {len(found.tried)} tuning cells are; arms are trained after them)" if found.tried else ""
        )
        raise StudyError(
            f"{folder}: none of {len(found.entries)} cells is finished{so_far}, so that there is nothing to judge"
        )
    answers = judge.judge(found)
    made = results.record(found, answers)
    pictures = gallery.draw(found, made)
    files.write_json(folder / results.FILE, made)
    page, why = explore(found, answers)
    drawn = [*report.write(folder), *page, *pictures]
    console = console or Console(width=None if sys.stdout.isatty() else 160)
    console.print(_table(made))
    for said in found.warnings:
        console.print(printable(f"warning: {said}"), highlight=False, markup=False, soft_wrap=True)
    if why:
        console.print(f"no explorer: {why}", highlight=False, markup=False, soft_wrap=True)
    held = [results.FILE, *sorted({p.relative_to(folder).parts[0] for p in drawn})]
    console.print(f"everything is in {folder}: {', '.join(held)}", highlight=False, markup=False, soft_wrap=True)
    return made


def _table(made: dict[str, Any]) -> Table:
    drawn = Table(box=box.SIMPLE_HEAD, title=question(made).asks, title_justify="left")
    drawn.add_column("label", no_wrap=True)
    drawn.add_column("answer, its verdicts and why")
    for label, own in made["labels"].items():
        said = own["answer"]
        why = [f"[bold]{_escaped(_word(d))}[/bold]: {_escaped(d['sentence'])}"
               for d in said["directions"]]  # fmt: skip
        drawn.add_row(
            _escaped(label), "\n".join([f"[bold]{_escaped(said['sentence'])}[/bold]", *why]), end_section=True
        )
    return drawn


def _word(direction: dict[str, Any]) -> str:
    return f"{direction['kind']} over {direction['over']}" if direction["added"] else str(direction["kind"])


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(printable(text))
