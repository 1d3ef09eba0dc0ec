"""Plot style of all figures: a colour-blind-safe palette with fixed colours."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from multimodal_lab.report.palette import PALETTE as PALETTE

matplotlib.use("Agg")
import matplotlib.pyplot as plt

MARKERS = ("o", "^", "s", "D", "v", "P")
GREY = "#9A9A9A"
INK = "#222222"
CLASSES = len(PALETTE) * len(MARKERS)
LETTER = 0.1  # inches, of a title
LONGEST = 28  # letters of a name on an axis
_LOOK = {
    "figure.dpi": 110,
    "savefig.dpi": 150,
    "font.size": 9,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": "#888888",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "text.color": INK,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
}


@contextmanager
def look() -> Iterator[None]:
    """The house style inside, the caller's own afterwards."""
    with plt.rc_context(_LOOK):
        yield


def colour(index: int) -> str:
    """The colour of class `index`; grey below zero (missing)."""
    return GREY if index < 0 else PALETTE[index % len(PALETTE)]


def marker(index: int) -> str:
    """The marker of class `index`: it changes when the colours have been through once."""
    return MARKERS[max(index, 0) // len(PALETTE) % len(MARKERS)]


def short(name: str) -> str:
    """A name as it may stand on an axis: printable, not too long, and no formula."""
    text = "".join(c if c.isprintable() else " " for c in str(name))
    return plain(text if len(text) <= LONGEST else text[: LONGEST - 1] + "…")


def plain(text: str) -> str:
    """The text as it stands, where a figure would read formulas between dollar signs."""
    return text.replace("$", r"\$")


def save(figure: Figure, path: Path) -> Path:
    """Write and close; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)
    return path


def panels(rows: int, columns: int, width: float = 4.0, height: float = 3.8) -> tuple[Figure, np.ndarray]:
    """A figure with a (rows, columns) array of axes."""
    figure, axes = plt.subplots(
        rows, columns, figsize=(width * columns, height * rows), squeeze=False, layout="constrained"
    )
    return figure, axes


def title(figure: Figure, text: str) -> None:
    """The figure's title, left-aligned above all panels; a line that is wider than the figure is wrapped."""
    letters = int(figure.get_figwidth() / LETTER)
    text = "\n".join(textwrap.fill(line, letters) for line in text.splitlines())
    figure.suptitle(text, x=0.01, ha="left", fontsize=12)


def bare(axes: Axes) -> None:
    """No ticks and no frame: for pictures and matrices."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def class_key(figure: Figure, names: Sequence[str], indices: Sequence[int], heading: str) -> None:
    """A legend of classes to the right of all panels."""
    handles = [
        Line2D([], [], ls="", marker=marker(i), color=colour(i), markersize=6, label="missing" if i < 0 else names[i])
        for i in indices
    ]
    columns = 1 + (len(handles) - 1) // 20
    figure.legend(
        handles=handles, title=heading, loc="outside right upper", ncols=columns, fontsize=8, alignment="left"
    )
