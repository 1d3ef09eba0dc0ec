"""Figures of single classes: average precision and F1 of each, also by the values of a column such as country."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from multimodal_lab.evaluate.class_scores import BY, CLASSES, FOLDER, MEAN
from multimodal_lab.files import named
from multimodal_lab.report import style
from multimodal_lab.runs.guarded import read_bytes

log = logging.getLogger(__name__)
_MOST = 60  # classes of a figure, the most frequent
_VALUES = 30  # values of a column


def classes(folder: Path, run_dir: Path) -> list[Path]:
    """`classes_<head>_<label>.png`: bars of each class; `classes_by_<column>_…`: a matrix, where a run has these tables."""
    paths = []
    with style.look():
        for (head, label), table in _tables(run_dir, CLASSES, ["head", "label"]):
            table = table.sort_values("positives", ascending=False, kind="stable")[:_MOST]
            paths.append(
                style.save(_bars(table, f"{label}, by head {head}"), folder / f"classes_{named(f'{head}_{label}')}.png")
            )
        for (column, head, label), table in _tables(run_dir, BY, ["column", "head", "label"]):
            path = folder / f"classes_by_{named(f'{column}_{head}_{label}')}.png"
            paths.append(style.save(_matrix(table, f"{label}, by {column}: average precision (positives)"), path))
    if not paths:
        log.info("no figure of classes: no head of this run predicts classes")
    return paths


def _tables(run_dir: Path, name: str, keys: list[str]) -> list[tuple[tuple[str, ...], pd.DataFrame]]:
    path = run_dir / FOLDER / f"{name}.csv"
    if not path.is_file():
        return []
    text = dict.fromkeys((*keys, "class", "value"), str)
    frame = pd.read_csv(
        io.BytesIO(read_bytes(path)), dtype=text, keep_default_na=False, na_values={"average_precision": "", "f1": ""}
    )
    return [(tuple(map(str, key)), part) for key, part in frame.groupby(keys, sort=False)]


def _bars(table: pd.DataFrame, title: str) -> Figure:
    figure, axes = style.panels(1, 1, 6.4, 1.2 + 0.24 * len(table))
    axis: Axes = axes[0, 0]
    y = np.arange(len(table))
    share = table["positives"].to_numpy() / np.maximum(table["n"].to_numpy(), 1)
    axis.barh(y, table["average_precision"].fillna(0), color=style.PALETTE[0], height=0.7, label="average precision")
    axis.plot(table["f1"], y, ls="", marker="D", color=style.PALETTE[1], markersize=4, label="F1")
    axis.plot(share, y, ls="", marker="|", color=style.INK, markersize=9, label="share of positives (chance)")
    for i in np.flatnonzero(table["positives"].to_numpy() == 0).tolist():
        axis.text(0.01, i, "no positive: not scored", va="center", fontsize=7, color=style.GREY)
    axis.set_yticks(
        y, [f"{style.short(c)} ({n})" for c, n in zip(table["class"], table["positives"], strict=True)], fontsize=7
    )
    axis.set(xlim=(0, 1), title=title)
    axis.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=3, fontsize=7)
    return figure


def _matrix(table: pd.DataFrame, title: str) -> Figure:
    values, names = (list(dict.fromkeys(table[key])) for key in ("value", "class"))
    names = [*[n for n in names if n != MEAN][:_MOST], MEAN]
    values = values[:_VALUES]
    cells = table.set_index(["value", "class"])
    grid = np.array([[cells.at[(v, n), "average_precision"] for v in values] for n in names], float)
    figure, axes = style.panels(1, 1, 2.6 + 0.6 * len(values), 1.4 + 0.24 * len(names))
    axis: Axes = axes[0, 0]
    image = axis.imshow(grid, vmin=0, vmax=1, aspect="auto", cmap="viridis")
    for i, name in enumerate(names):
        for j, value in enumerate(values):
            bright = np.isnan(grid[i, j]) or grid[i, j] > 0.6
            axis.text(j, i, str(cells.at[(value, name), "positives"]), ha="center", va="center", fontsize=6,
                      color=style.INK if bright else "white")  # fmt: skip
    axis.set_xticks(range(len(values)), [style.short(v) for v in values], rotation=40, ha="right", fontsize=7)
    axis.set_yticks(range(len(names)), [style.short(n) for n in names], fontsize=7)
    figure.colorbar(image, ax=axis, shrink=0.8)
    axis.set_title(title, fontsize=9)
    return figure
