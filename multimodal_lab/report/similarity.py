"""Cosine-similarity matrices of every space, with the same sample order."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from multimodal_lab.evaluate.tasks import kind
from multimodal_lab.metric.similarity import cosine
from multimodal_lab.report import style
from multimodal_lab.report.run_view import Shown

log = logging.getLogger(__name__)
_ROWS = 400


def similarity(folder: Path, shown: Shown, label: str | None, seed: int = 0) -> list[Path]:
    """`similarity.png`: samples that have every modality, at most 400, ordered by the label's classes."""
    e = shown.embeddings
    rows = np.flatnonzero(np.all([e.present[name] for name in shown.names], axis=0))
    if len(rows) < 2:
        log.warning("no similarity matrices: fewer than 2 samples have every modality")
        return []
    rows = np.sort(np.random.default_rng(seed).permutation(rows)[:_ROWS])
    label = next((one for one in shown.labels(label) if kind(e.targets[one]) == "classes"), None)
    if label is not None:
        target = e.targets[label][rows]
        rows = rows[np.lexsort((target, target < 0))]  # by class, those without one last
    with style.look():
        return [style.save(_figure(shown, rows, label), folder / "similarity.png")]


def _figure(shown: Shown, rows: np.ndarray, label: str | None) -> Figure:
    e = shown.embeddings
    figure, axes = style.panels(1, len(shown.names))
    matrices = {name: cosine(e.vectors[name][rows]) for name in shown.names}
    apart = ~np.eye(len(rows), dtype=bool)
    low = min(float(np.percentile(m[apart], 1)) for m in matrices.values())
    for axis, (name, matrix) in zip(axes[0], matrices.items(), strict=True):
        image = axis.imshow(matrix, vmin=low, vmax=1, cmap="viridis", interpolation="nearest")
        axis.set_title(name)
        style.bare(axis)
        if label is not None:
            _classes(axis, e.targets[label][rows], e.classes.get(label))
    figure.colorbar(image, ax=axes.ravel().tolist(), label="cosine similarity", shrink=0.8, extend="min")
    by = "" if label is None else f", ordered by {label}"
    style.title(figure, f"Similarity of {len(rows)} samples with every modality{by} · from {shown.called}")
    return figure


def _classes(axis: Axes, target: np.ndarray, names: list[str] | None) -> None:
    starts = np.flatnonzero(np.diff(target, prepend=target[0] - 1))
    counts, values = np.diff(starts, append=len(target)), target[starts]
    for start in starts[1:]:
        axis.axhline(start - 0.5, color="white", lw=0.7)
        axis.axvline(start - 0.5, color="white", lw=0.7)
    called = ["missing" if v < 0 else names[int(v)] if names else str(v) for v in values]
    # names of classes too thin for a line of text would overlap
    tall = counts >= len(target) / 30
    axis.set_yticks((starts + counts / 2 - 0.5)[tall], np.array(called)[tall], fontsize=7)
    axis.tick_params(length=0)
