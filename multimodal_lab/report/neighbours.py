"""Figure of cross-modal retrieval: queries and their nearest neighbours as pictures."""

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
from multimodal_lab.files import named
from multimodal_lab.report import style
from multimodal_lab.report.run_view import Shown

log = logging.getLogger(__name__)
Classes = tuple[str, np.ndarray, list[str]]
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
            path = folder / f"neighbours_{named(a)}_to_{named(b)}.png"
            paths.append(style.save(_figure(shown, a, b, *found, _classes(shown, label)), path))
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


def _classes(shown: Shown, label: str | None) -> Classes | None:
    if label is None or label not in shown.embeddings.targets or kind(shown.embeddings.targets[label]) != "classes":
        return None
    target = shown.embeddings.targets[label]
    names = shown.embeddings.classes.get(label) or [str(i) for i in range(int(target.max(initial=0)) + 1)]
    return label, target, names


def _figure(shown: Shown, a: str, b: str, queries: np.ndarray, found: np.ndarray, classes: Classes | None) -> Figure:
    rows, columns = len(queries), 1 + found.shape[1]
    # one panel for all pictures: a panel each would take seconds to lay out
    figure, ((axes,),) = style.panels(1, 1, 1.3 * columns, 1.3 * rows + 1.0)
    style.bare(axes)
    ids = shown.embeddings.ids
    for i, query in enumerate(queries):
        _cell(axes, (0.0, i), shown, a, query, classes, style.INK)
        for j, row in enumerate(found[i]):
            alike = classes is not None and classes[1][row] == classes[1][query] >= 0
            edge = SAME if ids[row] == ids[query] else ALIKE if alike else "#D5D5D5"
            _cell(axes, (j + 1.15, i), shown, b, row, classes, edge)
    # after the pictures, each of which sets the limits to its own
    axes.set(xlim=(-0.55, columns - 0.3), ylim=(rows - 0.3, -0.7), aspect="equal")
    for x, text in ((-0.45, f"{a} query"), (0.7, f"nearest in {b}")):
        axes.text(x, -0.52, text, fontweight="bold", va="bottom")
    handles = [Line2D([], [], color=SAME, lw=3, label="the same sample")]
    if classes is not None:
        handles.append(Line2D([], [], color=ALIKE, lw=3, label=f"the same {classes[0]}"))
    figure.legend(handles=handles, loc="outside lower left", ncols=2, fontsize=9)
    style.title(figure, f"{a} → {b} · {shown.called}")
    return figure


def _cell(
    axes: Axes, at: tuple[float, float], shown: Shown, name: str, row: int, classes: Classes | None, edge: str
) -> None:
    (x, y), half = at, 0.43
    images = shown.pictures.get(name)
    if images is not None and shown.has_picture[row]:
        axes.imshow(images[row], extent=(x - half, x + half, y + half, y - half), interpolation="bilinear")
    else:
        axes.text(x, y, Path(shown.embeddings.ids[row]).stem[-14:], ha="center", va="center", fontsize=6)
    axes.add_patch(Rectangle((x - half, y - half), 2 * half, 2 * half, fill=False, edgecolor=edge, linewidth=3))
    if classes is not None:
        value = int(classes[1][row])
        called = "missing" if value < 0 else classes[2][value][:18]
        axes.text(x, y + half + 0.02, called, ha="center", va="top", fontsize=7)
