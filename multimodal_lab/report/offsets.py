"""How the score of an offset falls with its distance from the true one: what `evaluate=sync` found on held-out clips."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from multimodal_lab.evaluate.class_scores import FOLDER
from multimodal_lab.evaluate.sync import TABLE
from multimodal_lab.files import named
from multimodal_lab.report import style
from multimodal_lab.runs.guarded import read_bytes

log = logging.getLogger(__name__)


def offsets(folder: Path, run_dir: Path) -> list[Path]:
    """`offsets_<head>.png`: the mean score by offset from the true one, the scores at each, and what is said to be in step."""
    path = run_dir / FOLDER / f"{TABLE}.csv"
    if not path.is_file():
        log.warning("no curve of offsets: no head of this run tells them (head=sync, evaluate=[sync])")
        return []
    frame = pd.read_csv(io.BytesIO(read_bytes(path)), dtype={"head": str})
    with style.look():
        return [
            style.save(_drawn(str(head), own), folder / f"offsets_{named(str(head))}.png")
            for head, own in frame.groupby("head", sort=False)
        ]


def curve(scores: np.ndarray) -> np.ndarray:
    """(K, K), the mean score of every offset (columns) at every true one, to (2K - 1,): the mean by told minus true offset."""
    count = len(scores)
    return np.array([np.diagonal(scores, k).mean() for k in range(1 - count, count)])


def _drawn(head: str, own: pd.DataFrame) -> Figure:
    true = own["offset"].to_numpy()
    scores = own[[f"score@{k}" for k in true]].to_numpy()
    figure, axes = style.panels(1, 3, 3.9, 3.3)
    away = np.arange(1 - len(true), len(true))
    axes[0, 0].plot(away, curve(scores), color=style.PALETTE[0], marker="o", markersize=4)
    axes[0, 0].axhline(1 / len(true), color=style.GREY, lw=1, ls=":")
    axes[0, 0].set(
        title="score by offset", xlabel="frames from the true offset", ylabel="mean softmax score", ylim=(0, 1.02)
    )
    edges = (true[0] - 0.5, true[-1] + 0.5)
    axes[0, 1].imshow(scores, cmap="viridis", vmin=0, vmax=1, origin="lower", extent=(*edges, *edges))
    axes[0, 1].set(title="score at each true offset", xlabel="offset (frames late)", ylabel="true offset")
    colours = [style.PALETTE[1] if k == 0 else style.PALETTE[0] for k in true]
    axes[0, 2].bar(true, own["said_in_step"], color=colours)
    axes[0, 2].set(title="predicted in step", xlabel="true offset", ylabel="share of clips", ylim=(0, 1.02))
    style.title(figure, f"Held-out clips shifted by every offset: scores of head {style.short(head)}")
    return figure
