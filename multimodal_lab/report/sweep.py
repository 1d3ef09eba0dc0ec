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
from rich.console import Group, RenderableType
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


def table(folder: Path) -> RenderableType:
    """Collect every run below `folder` into `folder/sweep.csv`; return the terminal's tables: means ± sd over seeds.

    A row is a set of choices and a label, a column a stream; R@1 between streams stands below. The CSV has all main scores
    of each run.
    """
    folders = sorted((p.parent for p in folder.glob("*/config.yaml")), key=lambda p: (len(p.name), p.name))
    if not folders:
        return Text(f"no runs in {folder}")
    runs = collect(folders)
    runs.to_csv(folder / "sweep.csv", index=False)
    groups = [c for c in choices.columns(runs) if c != "seed"]
    title = f"{len(runs)} runs, all scores in {folder / 'sweep.csv'}"
    return Group(_labels(runs, groups, title), *_retrieval(runs, groups))


def _parts(runs: pd.DataFrame, groups: list[str]) -> list[tuple[list[str], pd.DataFrame]]:
    """The runs of each set of choices, and how many they are, failed ones told."""
    parts = list(runs.groupby(groups, sort=False, dropna=False)) if groups else [((), runs)]
    failed = [int((part["status"] == FAILED).sum()) for _, part in parts]
    counts = [f"{len(part)}" + (f" ({n} failed)" if n else "") for (_, part), n in zip(parts, failed, strict=True)]
    return [([*map(str, key), count], part) for (key, part), count in zip(parts, counts, strict=True)]


def _labels(runs: pd.DataFrame, groups: list[str], title: str) -> Table:
    names = [str(c) for c in runs.columns]
    evaluator = next((e for e in ("probe", "knn", "centroid") if any(c.startswith(f"{e}/") for c in names)), "probe")
    scores = [c.split("/") for c in names if c.startswith(f"{evaluator}/")]
    streams = sorted(dict.fromkeys(parts[1] for parts in scores), key="fused".__eq__)
    labels = dict.fromkeys(parts[2] for parts in scores)
    drawn = _table([*groups, "runs", "label"], ["chance", *streams], title)
    for head, part in _parts(runs, groups):
        for label in labels or [""]:
            kind = next((parts[3] for parts in scores if parts[2] == label), "")
            cells = [f"{evaluator}/{stream}/{label}/{kind}" for stream in streams]
            drawn.add_row(*head, label, *(_spread(part, c) for c in (f"chance/{label}", *cells)))
    return drawn


def _retrieval(runs: pd.DataFrame, groups: list[str]) -> list[Table]:
    pairs = [str(c) for c in runs.columns if str(c).startswith("retrieval/") and "fused" not in str(c)]
    if not pairs:
        return []
    drawn = _table([*groups, "runs"], [c.split("/")[1] for c in pairs], "R@1 of the same sample")
    for head, part in _parts(runs, groups):
        drawn.add_row(*head, *(_spread(part, c) for c in pairs))
    return [drawn]


def _table(left: list[str], right: list[str], title: str) -> Table:
    drawn = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for column in left:
        drawn.add_column(column)
    for column in right:
        drawn.add_column(column, justify="right", no_wrap=True)
    return drawn


def _main(key: str) -> bool:
    parts = key.split("/")
    if parts[0] in ("probe", "knn", "centroid"):
        return len(parts) == 4 and parts[-1] in SCORES
    return (parts[0] == "retrieval" and parts[-1] == "R@1") or parts[0] == "chance" or key == "cost/wall_s"


def _spread(part: pd.DataFrame, column: str) -> str:
    known = part[column].dropna() if column in part else part.iloc[:0, 0]
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
