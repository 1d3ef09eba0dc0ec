"""Galleries of cross-modal retrieval: what each query found, right and wrong marked, as pictures and words."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from multimodal_lab.evaluate.retrieval_samples import FILE, NEAR
from multimodal_lab.files import named, parse_json
from multimodal_lab.report import style
from multimodal_lab.report.words import wrapped
from multimodal_lab.runs.guarded_arrays import read_npz

log = logging.getLogger(__name__)
RIGHT, WRONG, ALIKE = style.PALETTE[2], style.PALETTE[3], style.PALETTE[1]
_PICTURE, _TEXT = 1.0, 1.9  # widths of a cell, in its heights
_GAP, _HEAD, _ROW = 0.12, 0.42, 1.36  # between cells; above a section; of a row
_LETTERS, _LINES, _SHORT = 26, 7, 54  # letters and lines of a text in a cell; letters of one that is shown larger
Cell = tuple[int, int]


def neighbours(folder: Path, run_dir: Path, label: str | None) -> list[Path]:
    """`neighbours_<a>_to_<b>.png` for every two streams whose vectors share a space, both ways, six figures at most.

    Queries drawn at random, then the worst; of each its five nearest keys and, where it is not among them, the best right one
    with its rank. `label`: what is of the query's class, though wrong, is marked too.
    """
    if not (run_dir / FILE).is_file():
        log.info("no galleries of neighbours: no two streams of this run have a common space")
        return []
    found = read_npz(run_dir / FILE)
    facts = parse_json(found.pop("facts").tobytes())
    pictures = {name.removesuffix(".picture"): images for name, images in found.items()}
    shown = Gallery(facts, pictures, label if label in facts["targets"] else None)
    with style.look():
        return [
            style.save(shown.figure(pair), folder / f"neighbours_{named(pair['a'])}_to_{named(pair['b'])}.png")
            for pair in facts["pairs"]
        ]


@dataclass(frozen=True)
class Gallery:
    """What `retrieval_samples.save` wrote: `facts`, pictures[stream] (U, h, w, 3) uint8, and the label to mark by."""

    facts: dict[str, Any]
    pictures: dict[str, np.ndarray]
    label: str | None

    def figure(self, pair: dict[str, Any]) -> Figure:
        """The gallery of one pair of streams."""
        a, b, queries = pair["a"], pair["b"], pair["queries"]
        drawn, worst = ([q for q in queries if q["worst"] == which] for which in (False, True))
        parts = [("Queries drawn at random", drawn), (f"The worst of {pair['drawn']} queries", worst)]
        parts = [(title, own) for title, own in parts if own]
        first, other = self.width(a), self.width(b)
        wide = first + 3 * _GAP + (NEAR + 1) * (other + _GAP) + 2 * _GAP
        high = len(parts) * _HEAD + len(queries) * _ROW
        figure, ((axes,),) = style.panels(1, 1, 1.1 * wide, 1.1 * high + 0.9)
        style.bare(axes)
        top = 0.0
        for title, own in parts:
            text = f"{title}, and what is nearest in {b}, nearest first"
            axes.text(0, top + 0.2, text, fontweight="bold", fontsize=10, va="center")
            top += _HEAD
            for query in own:
                self._row(axes, top, a, b, query, pair["keys"])
                top += _ROW
        # after the pictures, each of which sets the limits to its own
        axes.set(xlim=(-0.2, wide), ylim=(high, -0.05), aspect="equal")
        self._key(figure)
        recall = ", ".join(f"R@{k} {value:.2f}" for k, value in pair["recall"].items())
        of = f"{pair['drawn']} of {pair['of']}" if pair["drawn"] < pair["of"] else str(pair["of"])
        space = "projections" if pair["projected"] else "embeddings"
        style.title(
            figure, f"{a} → {b}: {of} queries, {pair['keys']} keys, by cosine of the {space}; of these queries {recall}"
        )
        return figure

    def width(self, name: str) -> float:
        """How wide a cell of a stream is."""
        return _TEXT if name not in self.pictures and name in self.facts["texts"] else _PICTURE

    def _key(self, figure: Figure) -> None:
        of = [(RIGHT, "✓ right: belongs to the query"), (WRONG, "✗ wrong")]
        if self.label is not None:
            of.append((ALIKE, f"≈ wrong, of the query's {style.short(self.label)}"))
        handles = [Line2D([], [], color=colour, lw=3, label=text) for colour, text in of]
        figure.legend(handles=handles, loc="outside lower left", ncols=3, fontsize=8)

    def _row(self, axes: Axes, top: float, a: str, b: str, q: dict[str, Any], keys: int) -> None:
        first, other = self.width(a), self.width(b)
        self._cell(axes, (0.0, top), a, q["query"], style.INK)
        right = f"rank {q['rank']} of {keys}" + (f", {q['right']} right" if q["right"] > 1 else "")
        self._below(axes, (0.0, top), q["query"], right, style.INK)
        x = first + 3 * _GAP
        for cell, hit, cosine in zip(q["found"], q["hits"], q["cosine"], strict=True):
            colour, mark = self._mark(q["query"], cell, hit)
            self._cell(axes, (x, top), b, cell, colour)
            self._below(axes, (x, top), cell, f"{mark} {cosine:.2f}", colour)
            x += other + _GAP
        if not any(q["hits"]):
            x += 2 * _GAP
            self._cell(axes, (x, top), b, q["best"], RIGHT)
            self._below(axes, (x, top), q["best"], f"✓ {q['best_cosine']:.2f}, rank {q['rank']}", RIGHT)

    def _mark(self, query: Cell, cell: Cell, hit: bool) -> tuple[str, str]:
        if hit:
            return RIGHT, "✓"
        classes = self.facts["targets"].get(self.label, [])
        alike = bool(classes) and classes[cell[0]] == classes[query[0]] >= 0
        return (ALIKE, "≈") if alike else (WRONG, "✗")

    def _cell(self, axes: Axes, at: tuple[float, float], name: str, cell: Cell, edge: str) -> None:
        (x, y), (row, text), wide = at, cell, self.width(name)
        if (images := self.pictures.get(name)) is not None:
            axes.imshow(images[row], extent=(x, x + wide, y + 1, y), interpolation="bilinear")
        else:
            own = self.facts["texts"].get(name)
            words = own[row][text] if own and text < len(own[row]) else Path(self.facts["ids"][row]).stem
            letters, lines, size = (_LETTERS, _LINES, 7) if len(words) > _SHORT else (_LETTERS * 7 // 10, _LINES, 10)
            shown = wrapped(words, letters if own else letters // 2, lines)
            axes.text(x + wide / 2, y + 0.5, shown, ha="center", va="center", fontsize=size, linespacing=1.15)
        axes.add_patch(Rectangle((x, y), wide, 1, fill=False, edgecolor=edge, linewidth=2.5))

    def _below(self, axes: Axes, at: tuple[float, float], cell: Cell, words: str, colour: str) -> None:
        x, y = at
        axes.text(x, y + 1.04, words, ha="left", va="top", fontsize=7, color=colour, fontweight="bold")
        if self.label is not None:
            value = self.facts["targets"][self.label][cell[0]]
            names = self.facts["classes"][self.label]
            called = "" if value < 0 else str(names[value]) if value < len(names) else str(value)
            axes.text(x, y + 1.18, style.short(called)[:22], ha="left", va="top", fontsize=6, color=style.GREY)
