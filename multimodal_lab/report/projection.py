"""2-D projections (PCA, UMAP, t-SNE) of every space, as scatter plots and thumbnails."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_hex, to_rgb
from matplotlib.figure import Figure
from scipy.linalg import eigh

from multimodal_lab.evaluate.tasks import kind, labelled
from multimodal_lab.files import named
from multimodal_lab.report import style
from multimodal_lab.report.run_view import Shown
from multimodal_lab.text import install_command

Method = Literal["pca", "umap", "tsne"]
CALLED: dict[Method, str] = {"pca": "PCA", "umap": "UMAP", "tsne": "t-SNE"}
log = logging.getLogger(__name__)
_CELLS = 13
_LABELS = 6


def maps(folder: Path, shown: Shown, method: Method, label: str | None, seed: int = 0) -> list[Path]:
    """`<method>_<label>.png` for each label that can be coloured, six at most; a panel for each stream and fused."""
    if why := missing(method):
        log.warning("no %s figure: %s", CALLED[method], why)
        return []
    places = {name: _placed(shown, name, method, seed) for name in shown.names}
    drawn = {n: p for n, p in places.items() if p is not None}
    for name in places.keys() - drawn.keys():
        log.warning("no %s of %s: it has fewer than 3 samples", method, name)
    if not drawn:
        return []
    with style.look():
        labels: list[str | None] = [*shown.labels(label)[:_LABELS]] or [None]
        paths = [folder / f"{method}{'' if one is None else f'_{named(one)}'}.png" for one in labels]
        return [style.save(_figure(shown, drawn, method, one), p) for one, p in zip(labels, paths, strict=True)]


def missing(method: Method) -> str:
    """Why a method can't be had here, or nothing."""
    if method == "umap" and importlib.util.find_spec("umap") is None:
        return f"umap-learn is not installed ({install_command('viz')}); PCA and t-SNE need nothing more"
    return ""


Placed = tuple[np.ndarray, np.ndarray, tuple[str, str]]


def pca(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first two principal components of x (N, D): coordinates (N, 2) and shares of the variance (2,)."""
    x = x.astype(np.float64) - x.mean(0)
    wide = x.shape[1] > len(x)
    gram = x @ x.T if wide else x.T @ x
    count = min(2, len(gram))
    values, vectors = eigh(gram, subset_by_index=(len(gram) - count, len(gram) - 1))
    values, vectors = values[::-1].clip(min=0), vectors[:, ::-1]
    found, share = np.zeros((len(x), 2)), np.zeros(2)
    found[:, :count] = vectors * np.sqrt(values) if wide else x @ vectors
    share[:count] = values / max(float(np.trace(gram)), 1e-12)
    return found, share


def _placed(shown: Shown, name: str, method: Method, seed: int) -> Placed | None:
    rows = np.flatnonzero(shown.embeddings.present[name])
    if len(rows) < 3:
        return None
    x = shown.embeddings.vectors[name][rows]
    return rows, *placed(x, method, seed)


def placed(x: np.ndarray, method: Method, seed: int = 0) -> tuple[np.ndarray, tuple[str, str]]:
    """Coordinates (N, 2) of x (N, D), N >= 3, and what the two axes are; the same for the same seed. UMAP needs umap-learn.

    t-SNE (van der Maaten & Hinton 2008) begins with the PCA (Kobak & Berens 2019); its perplexity is 30, and a third of few rows.
    Rows of one direction are one point.
    """
    # unit rows: what the map shows as near is near by cosine, as in every evaluator
    x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    # collapsed: UMAP would spread one point to a cloud; of a start divided by its spread, NaN, sklearn's tree ends the process
    if method != "pca" and np.ptp(x, axis=0).max() < 1e-6:
        return np.zeros((len(x), 2)), (f"{CALLED[method]} 1", f"{CALLED[method]} 2")
    if method == "umap":
        from umap import UMAP

        near = min(15, len(x) - 1)
        # so few rows have no spectral start
        start = "random" if len(x) < 10 else "spectral"
        at = UMAP(n_neighbors=near, random_state=seed, n_jobs=1, init=start).fit_transform(x)
        return at, ("UMAP 1", "UMAP 2")
    if method == "tsne":
        from sklearn.manifold import TSNE

        begin = "pca" if min(x.shape) >= 2 else "random"
        few = min(30.0, (len(x) - 1) / 3)
        return TSNE(perplexity=few, init=begin, random_state=seed).fit_transform(x), ("t-SNE 1", "t-SNE 2")
    at, share = pca(x)
    return at, (f"PC 1 ({share[0]:.0%})", f"PC 2 ({share[1]:.0%})")


def _figure(shown: Shown, places: dict[str, Placed], method: Method, label: str | None) -> Figure:
    pictured = bool(shown.pictures) and shown.has_picture.any()
    figure, axes = style.panels(2 if pictured else 1, len(places))
    target = None if label is None else shown.embeddings.targets[label]
    shade = _shades(target)
    for column, (name, (rows, at, ends)) in enumerate(places.items()):
        axes[0, column].set_title(name)
        _points(axes[0, column], rows, at, target, shade)
        axes[0, column].set(xlabel=ends[0], ylabel=ends[1], xticks=[], yticks=[])
        if pictured:
            _pictures(axes[1, column], rows, at, shown, name, shade)
    if target is not None and label is not None:
        _key(figure, axes, shown, label, target)
    by = "" if label is None else f" by {label}"
    style.title(figure, f"{CALLED[method]} of the embeddings{by} · {shown.called}")
    return figure


def _shades(target: np.ndarray | None) -> list[str]:
    """One colour a sample."""
    if target is None:
        return []
    if kind(target) == "classes":
        return [style.colour(int(t)) for t in target]
    known = labelled(target)
    low, high = target[known].min(), target[known].max()
    ramp = matplotlib.colormaps["viridis"]
    spread = max(float(high - low), 1e-12)
    return [to_hex(ramp((t - low) / spread)) if k else style.GREY for t, k in zip(target, known)]


def _points(axes: Axes, rows: np.ndarray, at: np.ndarray, target: np.ndarray | None, shade: list[str]) -> None:
    size = float(np.clip(4000 / len(rows), 8, 30))
    if target is None or kind(target) != "classes":
        colours = [shade[i] for i in rows] if shade else style.PALETTE[0]
        axes.scatter(at[:, 0], at[:, 1], s=size, c=colours, alpha=0.8, linewidths=0)
        return
    for value in np.unique(target[rows]):
        here, index = target[rows] == value, int(value)
        x, y = at[here].T
        axes.scatter(x, y, s=size, c=style.colour(index), marker=style.marker(index), alpha=0.8, linewidths=0)


def _pictures(axes: Axes, rows: np.ndarray, at: np.ndarray, shown: Shown, name: str, shade: list[str]) -> None:
    """Pictures on a grid, in each cell the one nearest its middle, framed in the sample's colour."""
    style.bare(axes)
    images = shown.picture(name)
    assert images is not None
    low, spread = at.min(0), np.maximum(np.ptp(at, axis=0), 1e-12)
    grid = (at - low) / spread * (_CELLS - 1)
    cell = grid.round().astype(int)
    order = np.argsort(np.square(grid - cell).sum(1), kind="stable")
    order = order[shown.has_picture[rows[order]]]
    _, first = np.unique(cell[order], axis=0, return_index=True)
    # one image for all: as many images as cells would take seconds to draw
    size, frame = images.shape[1] + 4, max(2, images.shape[1] // 16)
    canvas = np.full((_CELLS * size, _CELLS * size, 3), 255, dtype=np.uint8)
    for i in order[first]:
        x, y = cell[i, 0] * size, (_CELLS - 1 - cell[i, 1]) * size
        edge = to_rgb(shade[rows[i]] if shade else style.GREY)
        canvas[y + 1 : y + size - 1, x + 1 : x + size - 1] = np.multiply(edge, 255)
        inner = images[rows[i]][frame - 1 : 1 - frame, frame - 1 : 1 - frame]
        canvas[y + 1 + frame : y + size - 1 - frame, x + 1 + frame : x + size - 1 - frame] = inner
    axes.imshow(canvas, interpolation="antialiased")


def _key(figure: Figure, axes: np.ndarray, shown: Shown, label: str, target: np.ndarray) -> None:
    if kind(target) == "classes":
        names = shown.embeddings.classes.get(label) or [str(i) for i in range(int(target.max()) + 1)]
        style.class_key(figure, names, [int(v) for v in np.unique(target)], label)
        return
    known = target[labelled(target)]
    scale = ScalarMappable(Normalize(known.min(), known.max()), "viridis")
    figure.colorbar(scale, ax=axes.ravel().tolist(), label=label, shrink=0.6)
