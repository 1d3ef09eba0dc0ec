"""The tables of an examination on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from multimodal_lab.text import and_more, printable

BANDS, CLASSES, FINDINGS = 24, 24, 30  # rows of a table; the rest stands in the JSON file
STYLE = {"error": "bold red", "warning": "yellow", "info": "cyan"}


def show(record: Mapping[str, Any], console: Console) -> None:
    """Bands of every stream, samples and classes of every split, which streams samples have, and the findings."""
    for name, facts in record["streams"].items():
        console.print(_stream(name, facts))
    if len(record["streams"]) > 1:
        said = ", ".join(f"{pattern}: {count:,}" for pattern, count in record["patterns"].items())
        console.print(f"samples by the streams that they have: {printable(said, one_line=True)}", markup=False)
    if record["splits"]:
        console.print(_splits(record["splits"]))
    for line in lines(record):
        console.print(line, style=STYLE.get(line.split(" ", 1)[0], ""), markup=False, highlight=False, soft_wrap=True)


def lines(record: Mapping[str, Any]) -> Iterator[str]:
    """A line a finding, the worst first, and one that counts them."""
    found = record["findings"]
    for one in found[:FINDINGS]:
        yield printable(f"{one['severity']} {one['kind']}: {one['sentence']}", one_line=True)
    if more := and_more(found, FINDINGS):
        yield f"{more}: out=FILE.json has all"
    counts = {level: sum(f["severity"] == level for f in found) for level in STYLE}
    said = ", ".join(f"{n} {level if level == 'info' else level + 's' * (n != 1)}" for level, n in counts.items() if n)
    whole = record["looked_at"] == record["samples"]
    some = "" if whole else f" of {record['samples']:,}, evenly spaced (limit=null: all)"
    yield f"looked at {record['looked_at']:,} samples{some}: {said or 'nothing found'}"


def _stream(name: str, facts: Mapping[str, Any]) -> Table:
    shape = " x ".join(map(str, facts.get("shape", ()))) or facts["kind"]
    title = f"{name}: {facts['present']:,} of {facts['looked_at']:,} samples, {shape} {facts.get('type', '')}".strip()
    table = Table(title=printable(title, one_line=True), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("band", "nm", "unit", "least", "most", "mean", "std", "gaps"):
        left = column in ("band", "unit")
        table.add_column(column, justify="left" if left else "right", no_wrap=not left)
    bands = facts.get("bands", [])
    for own in bands[:BANDS]:
        numbers = (_number(own[k]) for k in ("low", "high", "mean", "std"))
        share = f"{own['not_measured']:.1%}" if own["not_measured"] else ""
        table.add_row(
            *(printable(x, one_line=True) for x in (own["band"], _number(own["nm"]), own["unit"])), *numbers, share
        )
    if more := and_more(bands, BANDS):
        table.add_row(more, *[""] * 7)
    return table


def _splits(splits: Mapping[str, Any]) -> Table:
    """A row for samples and groups, and one for every class of every label."""
    table = Table(title="splits", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("")
    for part in splits:
        table.add_column(part, justify="right")
    for what in ("samples", "groups"):
        table.add_row(what, *(f"{own[what]:,}" for own in splits.values()))
    for label in next(iter(splits.values()))["labels"]:
        names = list(dict.fromkeys(name for own in splits.values() for name in own["labels"][label]))
        for name in names[:CLASSES]:
            counts = (f"{own['labels'][label].get(name, 0):,}" for own in splits.values())
            table.add_row(printable(f"{label} {name}", one_line=True), *counts)
        if more := and_more(names, CLASSES, "classes"):
            table.add_row(printable(f"{label} {more}", one_line=True), *[""] * len(splits))
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"
