"""Reliability diagrams: how often answers are right, by the confidence that they were given with."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from matplotlib.figure import Figure

from multimodal_lab.files import named
from multimodal_lab.report import style
from multimodal_lab.runs.guarded_arrays import read_parquet
from multimodal_lab.runs.hashes import PREDICTIONS
from multimodal_lab.stats.calibration import BINS, ece
from multimodal_lab.stats.calibration import reliability as bins_of

log = logging.getLogger(__name__)
Answers = dict[str, tuple[np.ndarray, np.ndarray]]  # of each stream: confidence and 1 or 0, whether it was right


def reliability(folder: Path, run_dir: Path) -> list[Path]:
    """`reliability_<evaluator>_<label>.png`: the share that is right over confidence, a line a stream (Guo et al. 2017, fig. 1).

    Of several 0/1 labels each is an answer, yes or no, whichever is likelier. What kept no probabilities has no figure.
    """
    with style.look():
        paths = [
            style.save(_drawn(evaluator, label, own), folder / f"reliability_{named(f'{evaluator}_{label}')}.png")
            for evaluator, label, own in _answers(run_dir)
        ]
    if not paths:
        log.info("no reliability figure: no evaluator of the run kept probabilities of classes")
    return paths


def _answers(run_dir: Path) -> Iterator[tuple[str, str, Answers]]:
    path = run_dir / PREDICTIONS
    if not path.is_file():
        return
    table = read_parquet(path)
    names = json.loads((table.schema.metadata or {}).get(b"classes", b"{}"))
    for evaluator in _words(table, "evaluator"):
        for label in (one for one in _words(table, "label") if names.get(one)):
            rows = table.filter(pc.and_(pc.equal(table["evaluator"], evaluator), pc.equal(table["label"], label)))
            each = {stream: rows.filter(pc.equal(rows["stream"], stream)) for stream in _words(rows, "stream")}
            if own := {
                stream: _of(part) for stream, part in each.items() if len(part) and not part["outputs"].null_count
            }:
                yield evaluator, label, own


def _of(rows: Any) -> tuple[np.ndarray, np.ndarray]:
    p = np.stack(rows["outputs"].to_numpy())
    if rows["targets"].null_count:
        return p.max(1).clip(0, 1), np.asarray(pc.equal(rows["truth"], rows["predicted"])).astype(float)
    truth = np.stack(rows["targets"].to_numpy()) > 0
    return np.maximum(p, 1 - p).ravel(), ((p > 0.5) == truth).ravel().astype(float)


def _words(table: Any, column: str) -> list[str]:
    return sorted(set(table[column].to_pylist()))


def _drawn(evaluator: str, label: str, each: Answers) -> Figure:
    figure, axes = style.panels(1, 1, 4.6, 4.2)
    axis = axes[0, 0]
    axis.plot([0, 1], [0, 1], ":", color=style.GREY, lw=1)
    for i, (stream, (confidence, right)) in enumerate(each.items()):
        count, said, true = bins_of(confidence, right).T
        there = count > 0
        told = f"{style.short(stream)}, ECE {ece(confidence, right):.3f}"
        axis.plot(said[there], true[there], color=style.colour(i), lw=1.2, label=told)
        # the area of a point is the share of answers that it stands for
        axis.scatter(
            said[there], true[there], 12 + 400 * count[there] / count.sum(), color=style.colour(i), alpha=0.5, lw=0
        )
    axis.set(xlabel="confidence", ylabel="share right", xlim=(0, 1.02), ylim=(0, 1.02))
    axis.legend(fontsize=7, loc="upper left")
    n = len(next(iter(each.values()))[0])
    style.title(figure, f"{style.short(label)}, by {evaluator}: {n} answers, {BINS} bins")
    return figure
