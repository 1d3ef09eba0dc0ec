"""What one stream finds when it is asked with a sample of another: queries and their nearest neighbours as pictures."""

from __future__ import annotations

import logging
from itertools import permutations
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.tasks import kind
from multimodal_lab.report import style
from multimodal_lab.report.shown import Shown

log = logging.getLogger(__name__)
_QUERIES, _NEAR, _PAIRS = 6, 6, 6
SAME, ALIKE = style.PALETTE[0], style.PALETTE[1]


def neighbours(folder: Path, shown: Shown, label: str | None, seed: int = 0) -> list[Path]:
    """`neighbours_<a>_to_<b>.png` for every two streams whose vectors share a space, both ways, six figures at most."""
    streams = [name for name in shown.names if name != "fused"]
    paths = []
    for a, b in list(permutations(streams, 2))[:_PAIRS]:
        found = nearest(shown.embeddings, a, b, seed, shown.has_picture)
        if found is None:
            log.warning("no neighbours of %s in %s: no common space, or fewer than 2 samples that have both", a, b)
            continue
        with style.look():
            paths.append(
                style.save(_figure(shown, a, b, *found, _classes(shown, label)), folder / f"neighbours_{a}_to_{b}.png")
            )
    return paths


def nearest(
    e: Embeddings, a: str, b: str, seed: int = 0, preferred: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray] | None:
    """Seeded queries (Q,) and their nearest rows (Q, K) by cosine, of samples with both; None without a common space.

    Projections where both have one, as in retrieval. `preferred` (N,) bool: queries are drawn there first.
    """
    projected = a in e.projected and b in e.projected
    x, y = e.space(a, projected), e.space(b, projected)
    rows = np.flatnonzero(e.present[a] & e.present[b])
    if x.shape[1] != y.shape[1] or len(rows) < 2:
        return None
    x, y = (z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12) for z in (x, y))
    drawn = np.random.default_rng(seed).permutation(rows)
    if preferred is not None and len(preferred):
        drawn = drawn[np.argsort(~preferred[drawn], kind="stable")]
    queries = drawn[:_QUERIES]
    order = np.argsort(-(x[queries] @ y[rows].T), axis=1, kind="stable")
    return queries, rows[order[:, :_NEAR]]


def _classes(shown: Shown, label: str | None) -> tuple[str, np.ndarray, list[str]] | None:
    if label is None or label not in shown.embeddings.targets or kind(shown.embeddings.targets[label]) != "classes":
        return None
    target = shown.embeddings.targets[label]
    names = shown.embeddings.classes.get(label) or [str(i) for i in range(int(target.max(initial=0)) + 1)]
    return label, target, names


def _figure(
    shown: Shown,
    a: str,
    b: str,
    queries: np.ndarray,
    found: np.ndarray,
    classes: tuple[str, np.ndarray, list[str]] | None,
) -> Figure:
    figure, axes = style.panels(len(queries), 1 + found.shape[1], 1.25, 1.4)
    ids = shown.embeddings.ids
    for i, query in enumerate(queries):
        _cell(axes[i, 0], shown, a, query, classes, style.INK)
        for j, row in enumerate(found[i]):
            alike = classes is not None and classes[1][row] == classes[1][query] >= 0
            edge = SAME if ids[row] == ids[query] else ALIKE if alike else "#D5D5D5"
            _cell(axes[i, j + 1], shown, b, row, classes, edge)
    axes[0, 0].set_title(f"{a} query", fontsize=9)
    axes[0, 1].set_title(f"nearest in {b}", fontsize=9)
    handles = [Line2D([], [], color=SAME, lw=3, label="the same sample")]
    if classes is not None:
        handles.append(Line2D([], [], color=ALIKE, lw=3, label=f"the same {classes[0]}"))
    figure.legend(handles=handles, loc="outside lower left", ncols=2, fontsize=9)
    style.title(figure, f"{a} → {b} · {shown.called}")
    return figure


def _cell(
    axes: Axes, shown: Shown, name: str, row: int, classes: tuple[str, np.ndarray, list[str]] | None, edge: str
) -> None:
    style.bare(axes)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    images = shown.pictures.get(name)
    if images is not None and shown.has_picture[row]:
        axes.imshow(images[row], extent=(0, 1, 0, 1), interpolation="bilinear")
    else:
        axes.text(0.5, 0.5, Path(shown.embeddings.ids[row]).stem[-14:], ha="center", va="center", fontsize=6, wrap=True)
    axes.add_patch(Rectangle((0.01, 0.01), 0.98, 0.98, fill=False, edgecolor=edge, linewidth=3))
    if classes is not None:
        value = int(classes[1][row])
        axes.set_xlabel("missing" if value < 0 else classes[2][value][:18], fontsize=7, labelpad=1)
