"""The table of a sweep: what was chosen in each job, and what came of it."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from multimodal_lab.report import choices
from multimodal_lab.report.summary import SCORES

log = logging.getLogger(__name__)
FAILED = "no summary.json"


def collect(folders: Sequence[Path]) -> pd.DataFrame:
    """One row a run: `run`, `status`, what was chosen (see `choices`), and its main scores.

    A run without a readable summary stays, as failed. Main scores: accuracy, macro AP or R² of probe, k-NN and
    centroid, R@1 of retrieval, chance, wall time.
    """
    summaries = [_summary(folder) for folder in folders]
    chosen = choices.of(folders, summaries)
    rows = []
    for folder, made, summary in zip(folders, chosen, summaries, strict=True):
        scores = {k: v for k, v in (summary or {}).items() if _main(k)}
        rows.append({"run": folder.name, "status": FAILED if summary is None else "done", **made, **scores})
    return pd.DataFrame(rows)


def table(folder: Path, label: str | None = None) -> RenderableType:
    """Collect every run below `folder` into `folder/sweep.csv`; return the terminal's table: means ± sd over seeds.

    Its columns are what was chosen and the probe's score on `label` (None, or where no run has it: on every label) with
    chance, and R@1 between streams; the CSV has all main scores of each run.
    """
    folders = sorted((p.parent for p in folder.glob("*/config.yaml")), key=lambda p: (len(p.name), p.name))
    if not folders:
        return Text(f"no runs in {folder}")
    runs = collect(folders)
    runs.to_csv(folder / "sweep.csv", index=False)
    return _drawn(runs, choices.columns(runs), _wanted(runs, label), folder)


def _drawn(runs: pd.DataFrame, chosen: list[str], scores: list[str], folder: Path) -> Table:
    groups = [c for c in chosen if c != "seed"]
    title = f"{len(runs)} runs, all scores in {folder / 'sweep.csv'}"
    drawn = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for column in (*groups, "runs"):
        drawn.add_column(column)
    for column in scores:
        drawn.add_column(_heading(column), justify="right")
    parts = runs.groupby(groups, sort=False, dropna=False) if groups else [((), runs)]
    for key, part in parts:
        failed = int((part["status"] == FAILED).sum())
        count = f"{len(part)}" + (f" ({failed} failed)" if failed else "")
        drawn.add_row(*(str(k) for k in key), count, *(_spread(part[c]) for c in scores))
    return drawn


def _main(key: str) -> bool:
    parts = key.split("/")
    if parts[0] in ("probe", "knn", "centroid"):
        return len(parts) == 4 and parts[-1] in SCORES
    return (parts[0] == "retrieval" and parts[-1] == "R@1") or parts[0] == "chance" or key == "cost/wall_s"


def _wanted(runs: pd.DataFrame, label: str | None) -> list[str]:
    names = [str(c) for c in runs.columns]
    evaluator = next((e for e in ("probe", "knn", "centroid") if any(c.startswith(f"{e}/") for c in names)), "probe")

    def fits(column: str) -> bool:
        parts = column.split("/")
        return parts[0] == evaluator and (label is None or parts[2] == label)

    if not any(map(fits, names)):  # the data of these runs have other labels
        label = None
    scored = sorted((c for c in names if fits(c)), key=lambda c: (c.split("/")[2], c.split("/")[1] == "fused"))
    between = [c for c in names if c.startswith("retrieval/") and c.count("/") == 2 and "fused" not in c]
    chance = [c for c in names if c == f"chance/{label}"]
    return [*chance, *scored, *between]


def _heading(column: str) -> str:
    parts = column.split("/")
    if parts[0] == "chance":
        return "chance"
    return f"{parts[1]} R@1" if parts[0] == "retrieval" else f"{parts[1]} {parts[2]}"


def _spread(values: pd.Series) -> str:
    known = values.dropna()
    if known.empty:
        return "–"
    sd = known.std() if len(known) > 1 else math.nan
    return f"{known.mean():.3f}" + ("" if math.isnan(sd) else f" ± {sd:.3f}")


def _summary(folder: Path) -> Mapping[str, Any] | None:
    path = folder / "summary.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        log.warning("%s can't be read: %s", path, error)
        return None
    return found
