"""Summary tables of a run for the terminal, from the flat scores of `summary.json`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from multimodal_lab.metric.direction import Scored, chance_key, shown
from multimodal_lab.runs.summary import of_split
from multimodal_lab.text import printable, some


def table(summary: Mapping[str, Any], scored: Sequence[Scored] = ()) -> RenderableType:
    """What evaluators show of a run beside chance, a table each, and what it cost; scored: what they state of their scores.

    rich draws it in colour on a terminal and as plain text elsewhere. Without any score it is one line that says so. What was
    scored on the validation split says so.
    """
    split, summary = of_split(summary)
    where = "Validation" if split == "val" else "Held-out"
    scored = [replace(e, title=_title(e, where)) for e in scored]
    drawn = [_TABLES[e.by](summary, e) for e in shown(scored, summary) if e.by in _TABLES]
    parts = [part for part in (*drawn, _facts(summary)) if part is not None]
    return Group(*parts) if parts else Text("no scores: no evaluator was run")


_NAMED = 5  # absent classes; scores/classes.csv has all


def _title(e: Scored, where: str) -> str:
    if e.title:
        return e.title if where == "Held-out" else f"{e.title}, on the validation split"
    return f"{where} {_KINDS.get(str(e.by), 'scores')} by {e.name}"


_KINDS = {"label": "scores", "pair": "scores of pairs", "name": "scores of embeddings"}


def names(summary: Iterable[str], evaluator: str) -> list[str]:
    """The streams that an evaluator judged, fused last."""
    found = dict.fromkeys(key.split("/")[1] for key in summary if key.startswith(f"{evaluator}/"))
    found = {name: None for name in found if "@" not in name}  # too many columns: summary.json has them
    return sorted(found, key=lambda name: name == "fused")


def words(summary: Iterable[str], e: Scored) -> dict[str, str]:
    """{last word of keys: title} of what an evaluator shows and gave: `R@1` and `R@5` of `R@*`; of others the first alone."""
    last = {key.rpartition("/")[2] for key in summary if key.startswith(f"{e.name}/") and "/skipped/" not in key}
    found: dict[str, str] = {}
    for word, title in e.shown.items():
        own = sorted((w for w in last if fnmatchcase(w, word)), key=lambda w: (len(w), w))
        found |= {w: w for w in own} if "*" in title else dict.fromkeys(own[:1], title)
    return found


def _labels(summary: Mapping[str, Any], e: Scored) -> RenderableType:
    notes: list[Text] = []
    streams, columns = names(summary, e.name), words(summary, e)
    labels = dict.fromkeys(key.split("/")[2] for key in summary if key.startswith(f"{e.name}/") and key.count("/") > 2)
    drawn = Table(title=e.title, box=box.SIMPLE_HEAD, title_justify="left")
    for column in ("label", "score", "n"):
        drawn.add_column(printable(column), justify="right" if column == "n" else "left")
    for column in (*(["chance"] if e.beside_chance else []), *streams):
        drawn.add_column(column, justify="right", style="dim" if column == "chance" else "")
    for label in labels:
        stems = [f"{e.name}/{name}/{label}" for name in streams]
        count = max((int(summary.get(f"{stem}/n", 0)) for stem in stems), default=0)
        chance = number(summary.get(chance_key(summary, e.name, label)))
        given = [word for word in columns if any(f"{stem}/{word}" in summary for stem in stems)]
        for i, word in enumerate(given):
            # chance is of the first score, of a share or of R²
            by = [chance if not i and e.way(word) == "max" else "–"] if e.beside_chance else []
            drawn.add_row(printable(label), columns[word], str(count), *by, *_cells(summary, e, stems, word))
        if not given:
            drawn.add_row(
                printable(label), _reason(summary, stems), str(count), *["–"] * (e.beside_chance + len(streams))
            )
        if absent := _absent(summary, stems):
            notes.append(
                Text(printable(f"{label}: in no macro mean, as no scored sample has it: {absent}"), style="dim")
            )
    return Group(drawn, *notes) if notes else drawn


def _absent(summary: Mapping[str, Any], stems: list[str]) -> str:
    """The classes without a positive, `absent@CLASS`, as a list."""
    parts = (key.rpartition("/absent@") for key in summary)
    found = [*dict.fromkeys(name for stem, sign, name in parts if sign and stem in stems)]
    return some(found, _NAMED)


def _cells(summary: Mapping[str, Any], e: Scored, stems: list[str], word: str) -> list[Text]:
    """A score of each stem, the best of them bold."""
    values = [summary.get(f"{stem}/{word}") for stem in stems]
    known = [v for v in values if v is not None and not math.isnan(v)]
    way = {"max": max, "min": min}.get(str(e.way(word)))
    best = way(known) if way and known else None
    return [Text(number(v), style="bold green" if v is not None and v == best else "") for v in values]


def _reason(summary: Mapping[str, Any], stems: list[str]) -> str:
    found = [key.rpartition("/")[2] for stem in stems for key in summary if key.startswith(f"{stem}/skipped/")]
    return f"skipped: {found[0].replace('_', ' ')}" if found else "not scored"


def _pairs(summary: Mapping[str, Any], e: Scored) -> Table | None:
    # fused has seen both sides and is in no cross-modal term: comparing it again says nothing (summary.json has the figures)
    columns = words(summary, e)
    pairs = [p for p in names(summary, e.name) if "fused" not in re.split("->|-", p)]
    pairs = [p for p in pairs if any(f"{e.name}/{p}/{word}" in summary for word in columns if e.way(word))]
    if not pairs:
        return None
    drawn = Table(title=e.title, box=box.SIMPLE_HEAD, title_justify="left")
    drawn.add_column("from → to" if "->" in pairs[0] else "pair")
    for title in columns.values():
        drawn.add_column(title, justify="right", style="dim" if title == "chance" else "")
    for pair in pairs:
        for stem, told in _by_label(summary, f"{e.name}/{pair}", pair.replace("->", " → ")):
            cells = [_figure(e, word, summary.get(f"{stem}/{word}")) for word in columns]
            drawn.add_row(printable(told), *cells)
    return drawn


def _by_label(summary: Iterable[str], stem: str, told: str) -> list[tuple[str, str]]:
    """What begins the keys of a pair's scores, and of those that count a label's class as right; how each is called."""
    deeper = (key.removeprefix(f"{stem}/").split("/") for key in summary if key.startswith(f"{stem}/"))
    labels = dict.fromkeys(parts[0] for parts in deeper if len(parts) == 2 and parts[0] != "skipped")
    return [(stem, told), *((f"{stem}/{label}", f"{told}, of one {label}") for label in labels)]


def _names(summary: Mapping[str, Any], e: Scored) -> Table | None:
    streams = names(summary, e.name)
    drawn = Table(title=e.title, box=box.SIMPLE_HEAD, title_justify="left")
    drawn.add_column("score")
    for column in streams:
        drawn.add_column(column, justify="right")
    for word, title in words(summary, e).items():
        drawn.add_row(title, *_cells(summary, e, [f"{e.name}/{name}" for name in streams], word))
    return drawn


_TABLES: dict[str | None, Callable[[Mapping[str, Any], Scored], RenderableType | None]] = {
    "label": _labels, "pair": _pairs, "name": _names,
}  # fmt: skip


def _figure(e: Scored, word: str, value: Any) -> str:
    """Shares with three decimals, ranks and counts as they are."""
    counts = value is not None and e.way(word) is None and (e.word(word) is None or value > 1)
    whole = value is not None and (e.way(word) == "min" or (counts and float(value).is_integer()))
    return f"{value:g}" if whole else number(value)


def _facts(summary: Mapping[str, Any]) -> Text | None:
    known = {
        "held-out loss": _loss(summary, "test/total"),
        "validation loss": _loss(summary, "total"),
        "seed": summary.get("provenance/seed"),
        "on": summary.get("provenance/device"),
        "wall time": _with(summary.get("cost/wall_s"), "s"),
        "peak memory": _with(summary.get("cost/peak_memory_mb"), "MB"),
        "speed": _with(summary.get("cost/images_per_s") or None, "samples/s"),
    }
    said = [f"{k} {v}" for k, v in known.items() if v is not None]
    said = [*([printable(made)] if (made := summary.get("provenance/stands_in")) else []), *said]
    return Text(" · ".join(said), style="dim") if said else None


def _loss(summary: Mapping[str, Any], key: str) -> str | None:
    return None if summary.get(key) is None else number(summary[key])


def _with(value: Any, unit: str) -> str | None:
    return None if value is None else f"{float(value):.0f} {unit}"


def number(value: Any, form: str = ".3f") -> str:
    """Three decimals; a dash where there is none."""
    return "–" if value is None or (isinstance(value, float) and math.isnan(value)) else f"{float(value):{form}}"
