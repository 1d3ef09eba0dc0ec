"""Two streams in one map of the space that they share: pairs joined by lines, and how far apart the two lie as a whole."""

from __future__ import annotations

import logging
from itertools import combinations
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from multimodal_lab.evaluate.subsets import FUSED
from multimodal_lab.files import named
from multimodal_lab.report import style
from multimodal_lab.report.projection import CALLED, Method, placed
from multimodal_lab.report.run_view import Shown
from multimodal_lab.stats import sphere

log = logging.getLogger(__name__)
METHODS: tuple[Method, ...] = ("pca", "tsne")
PAIRS, FIGURES = 500, 3  # pairs of samples in a map; figures
_COLOURS, _MARKERS = (style.PALETTE[0], style.PALETTE[1]), ("o", "^")


def modality_gap(folder: Path, shown: Shown, label: str | None = None, seed: int = 0) -> list[Path]:
    """`modality_gap_<a>_<b>.png` for every two streams whose vectors share a space, three at most.

    Both streams' unit vectors as one set, 500 samples at most: along the gap, where it has its true length, by PCA and by t-SNE;
    and the cosines of pairs, of others and within each stream. The gap and what it means are told above; projections are shown
    where both have one, as in retrieval.
    """
    e = shown.embeddings
    paths = []
    for a, b in list(combinations([name for name in shown.names if name != FUSED and "@" not in name], 2)):
        projected = a in e.projected and b in e.projected
        both = np.flatnonzero(e.present[a] & e.present[b])
        x, y = (e.space(name, projected)[both] for name in (a, b))
        if x.shape[1] != y.shape[1] or len(both) < 3:
            log.warning("no modality gap of %s and %s: no common space, or fewer than 3 samples that have both", a, b)
            continue
        space = "projections" if projected else "embeddings"
        path = folder / f"modality_gap_{named(a)}_{named(b)}.png"
        with style.look():
            figure = _figure((a, b), sphere.unit(x.astype(np.float64)), sphere.unit(y.astype(np.float64)), seed)
            style.title(figure, f"{a} and {b} in one space ({space}) · {shown.called}\n{told(x, y)}")
            paths.append(style.save(figure, path))
        if len(paths) == FIGURES:
            break
    return paths


def told(x: np.ndarray, y: np.ndarray) -> str:
    """The modality gap of pairs x, y (N, D) and what it means, on two lines."""
    gap, chance, share = sphere.modality_gap(x, y), sphere.gap_by_chance(x, y), sphere.gap_share(x, y)
    return (
        f"modality gap {gap:.2f}: the distance of the two centres, 0 where they are one and 2 at most; {chance:.2f} where a "
        f"coin swaps each pair.\nIt makes {share:.0%} of the mean squared distance of a pair: what one shift of all could remove."
    )


def _figure(names: tuple[str, str], x: np.ndarray, y: np.ndarray, seed: int) -> Figure:
    figure, axes = style.panels(1, len(METHODS) + 2, 4.0, 4.2)
    some = np.sort(np.random.default_rng(seed).permutation(len(x))[:PAIRS])
    at = along(x, y, np.concatenate([x[some], y[some]]))
    _map(axes[0, 0], at[: len(some)], at[len(some) :], names, along(x, y, np.stack([x.mean(0), y.mean(0)])))
    axes[0, 0].set(
        title=f"along the gap, {len(some)} pairs", xlabel="along the gap", ylabel="PC 1 of the rest", yticks=[]
    )
    for axis, method in zip(axes[0, 1:], METHODS, strict=False):
        at, ends = placed(np.concatenate([x[some], y[some]]), method, seed)
        centres = np.stack([at[: len(some)].mean(0), at[len(some) :].mean(0)]) if method == "pca" else None
        _map(axis, at[: len(some)], at[len(some) :], names, centres)
        axis.set(title=CALLED[method], xlabel=ends[0], ylabel=ends[1], xticks=[], yticks=[])
    axes[0, 0].legend(fontsize=8, loc="best", frameon=True, framealpha=0.9)
    _cosines(axes[0, -1], names, x[some], y[some], seed)
    return figure


def along(x: np.ndarray, y: np.ndarray, points: np.ndarray) -> np.ndarray:
    """points (M, D) along the line through the centres of x and y (N, D), from that of x, and along the first principal
    component of both without that line: (M, 2). Distances along the first axis are those of the space."""
    centre, gap = x.mean(0), y.mean(0) - x.mean(0)
    line = gap / max(float(np.linalg.norm(gap)), 1e-12)
    both = np.concatenate([x, y]) - centre
    rest = both - np.outer(both @ line, line)
    second = np.linalg.svd(rest - rest.mean(0), full_matrices=False)[2][0]
    return np.stack([(points - centre) @ line, (points - centre) @ second], 1)


def _map(axes: Axes, x: np.ndarray, y: np.ndarray, names: tuple[str, str], centres: np.ndarray | None) -> None:
    """Points, a line for each pair and, where distances are those of the space, the centres (2, 2) with the gap between."""
    axes.add_collection(LineCollection([*np.stack([x, y], 1)], colors=style.GREY, linewidths=0.5, alpha=0.35, zorder=1))
    for at, colour, marker, name in zip((x, y), _COLOURS, _MARKERS, names, strict=True):
        size = float(np.clip(4000 / len(at), 8, 30))
        axes.scatter(at[:, 0], at[:, 1], s=size, c=colour, marker=marker, alpha=0.8, linewidths=0, label=name, zorder=2)
    if centres is None:
        return
    axes.plot(*centres.T, color=style.INK, lw=2.5, zorder=3, label="gap")
    for at, colour, marker in zip(centres, _COLOURS, _MARKERS, strict=True):
        axes.scatter(at[0], at[1], s=110, c=colour, marker=marker, edgecolors=style.INK, linewidths=1.5, zorder=4)


def _cosines(axes: Axes, names: tuple[str, str], x: np.ndarray, y: np.ndarray, seed: int) -> None:
    """How alike a pair is, beside two of different samples across the streams and within each."""
    apart = ~np.eye(len(x), dtype=bool)
    sets = {
        "a sample's two": ((x * y).sum(1), style.PALETTE[2]),
        f"{names[0]} and another's {names[1]}": ((x @ y.T)[apart], style.PALETTE[3]),
        f"two samples' {names[0]}": ((x @ x.T)[apart], _COLOURS[0]),
        f"two samples' {names[1]}": ((y @ y.T)[apart], _COLOURS[1]),
    }
    low = min(float(v.min()) for v, _ in sets.values())
    bins = np.linspace(low, 1, 60).tolist()
    for label, (values, colour) in sets.items():
        axes.hist(
            values, bins, density=True, histtype="step", lw=1.6, color=colour, label=f"{label}: {values.mean():.2f}"
        )
    axes.set(title="cosines, with their means", xlabel="cosine", yticks=[])
    axes.legend(fontsize=7, loc="upper left")
