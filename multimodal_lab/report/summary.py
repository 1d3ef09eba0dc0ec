"""What a run found, as tables for the terminal, from the flat scores of `summary.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

PROBES = ("probe", "knn", "centroid")
SCORES = {"accuracy": "accuracy", "macro_ap": "macro AP", "r2": "R²"}


def table(summary: Mapping[str, Any]) -> RenderableType:
    """Labels × streams by linear probe (k-NN or centroid where none ran) beside chance, retrieval, and what it cost.

    rich draws it in colour on a terminal and as plain text elsewhere. Without any score it is one line that says so.
    """
    parts = [part for part in (_labels(summary), _retrieval(summary), _facts(summary)) if part is not None]
    return Group(*parts) if parts else Text("no scores: no evaluator was run")


def names(summary: Mapping[str, Any], evaluator: str) -> list[str]:
    """The streams that an evaluator judged, fused last."""
    found = dict.fromkeys(key.split("/")[1] for key in summary if key.startswith(f"{evaluator}/"))
    found = {name: None for name in found if not name.startswith("fused@")}  # too many columns: summary.json has them
    return sorted(found, key=lambda name: name == "fused")


def _labels(summary: Mapping[str, Any]) -> Table | None:
    evaluator = next((e for e in PROBES if names(summary, e)), None)
    if evaluator is None:
        return None
    streams = names(summary, evaluator)
    labels = dict.fromkeys(
        key.split("/")[2] for key in summary if key.startswith(f"{evaluator}/") and key.count("/") > 2
    )
    drawn = Table(title=f"Held-out scores by {evaluator}", box=box.SIMPLE_HEAD, title_justify="left")
    for column in ("label", "score", "n"):
        drawn.add_column(column, justify="right" if column == "n" else "left")
    for column in ("chance", *streams):
        drawn.add_column(column, justify="right", style="dim" if column == "chance" else "")
    for label in labels:
        drawn.add_row(*_label(summary, evaluator, streams, label))
    return drawn


def _label(summary: Mapping[str, Any], evaluator: str, streams: list[str], label: str) -> list[Text | str]:
    stems = [f"{evaluator}/{name}/{label}" for name in streams]
    kind = next((s for s in SCORES if any(f"{stem}/{s}" in summary for stem in stems)), None)
    count = max((int(summary.get(f"{stem}/n", 0)) for stem in stems), default=0)
    if kind is None:
        return [label, _reason(summary, stems), str(count), *["–"] * (1 + len(streams))]
    values = [summary.get(f"{stem}/{kind}") for stem in stems]
    best = max((v for v in values if v is not None and not math.isnan(v)), default=None)
    cells = [Text(number(v), style="bold green" if v is not None and v == best else "") for v in values]
    return [label, SCORES[kind], str(count), number(summary.get(f"chance/{label}")), *cells]


def _reason(summary: Mapping[str, Any], stems: list[str]) -> str:
    found = [key.rpartition("/")[2] for stem in stems for key in summary if key.startswith(f"{stem}/skipped/")]
    return f"skipped: {found[0].replace('_', ' ')}" if found else "not scored"


def _retrieval(summary: Mapping[str, Any]) -> Table | None:
    # fused has seen both sides and is in no cross-modal term: finding it again says nothing (summary.json has the figures)
    pairs = [p for p in names(summary, "retrieval") if f"retrieval/{p}/map" in summary and "fused" not in p.split("->")]
    if not pairs:
        return None
    ranks = sorted({int(k.rpartition("@")[2]) for k in summary if k.startswith(f"retrieval/{pairs[0]}/R@")})
    drawn = Table(title="Retrieval of the same sample", box=box.SIMPLE_HEAD, title_justify="left")
    drawn.add_column("from → to")
    for column in (*(f"R@{k}" for k in ranks), "chance", "mAP", "median rank", "of"):
        drawn.add_column(column, justify="right", style="dim" if column == "chance" else "")
    for pair in pairs:
        stem = f"retrieval/{pair}"
        scores = [number(summary.get(f"{stem}/R@{k}")) for k in ranks]
        chance = number(summary.get(f"{stem}/chance_R@{ranks[0]}")) if ranks else "–"
        tail = [
            number(summary[f"{stem}/map"]),
            number(summary[f"{stem}/median_rank"], "g"),
            f"{summary[f'{stem}/n']:g}",
        ]
        drawn.add_row(pair.replace("->", " → "), *scores, chance, *tail)
    return drawn


def _facts(summary: Mapping[str, Any]) -> Text | None:
    loss = summary.get("test/total")
    known = {
        "held-out loss": None if loss is None else number(loss),
        "seed": summary.get("provenance/seed"),
        "on": summary.get("provenance/device"),
        "wall time": _with(summary.get("cost/wall_s"), "s"),
        "peak memory": _with(summary.get("cost/peak_memory_mb"), "MB"),
        "speed": _with(summary.get("cost/images_per_s"), "samples/s"),
    }
    said = [f"{k} {v}" for k, v in known.items() if v is not None]
    return Text(" · ".join(said), style="dim") if said else None


def _with(value: Any, unit: str) -> str | None:
    return None if value is None else f"{float(value):.0f} {unit}"


def number(value: Any, form: str = ".3f") -> str:
    """Three decimals; a dash where there is none."""
    return "–" if value is None or (isinstance(value, float) and math.isnan(value)) else f"{float(value):{form}}"
