"""What towers look at: attention rollout or Grad-CAM over pictures and words, and each word over each patch."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from multimodal_lab.evaluate.attention_samples import FILE
from multimodal_lab.evaluate.pieces import MARKS
from multimodal_lab.files import named, parse_json
from multimodal_lab.report import style
from multimodal_lab.report.overlay import HEAT, overlay
from multimodal_lab.report.words import cleaned
from multimodal_lab.runs.guarded_arrays import read_npz

log = logging.getLogger(__name__)
HOW = {"rollout": "attention rollout", "gradcam": "Grad-CAM"}
_WORDS, _SIDE = 7, 2.0  # words of a row of maps; inches of a picture
_LETTERS, _LINES = 24, 7  # of a text in a cell


def attention(folder: Path, run_dir: Path) -> list[Path]:
    """`attention.png`: samples below each other, of each stream what its embedding has read, of places or words."""
    if (read := _read(run_dir)) is None:
        return []
    found, facts = read
    for name, why in facts["why"].items():
        if why:
            log.warning("no attention of %s: %s", name, why)
    names = [name for name in facts["how"] if f"{name}.map" in found]
    if not names:
        return []
    with style.look():
        return [style.save(_looked(found, facts, names), folder / "attention.png")]


def token_patch(folder: Path, run_dir: Path) -> list[Path]:
    """`token_patch_<image>_<text>.png`: how near each word lies to each patch, by cosine, over the picture."""
    if (read := _read(run_dir)) is None:
        return []
    found, facts = read
    pairs = [tuple(key.removesuffix(".cosine").split("-")) for key in found if key.endswith(".cosine")]
    if not pairs:
        log.warning("no similarity of words and patches: no text and image with a grid have a common space")
    with style.look():
        return [
            style.save(_nearness(found, facts, image, text), folder / f"token_patch_{named(image)}_{named(text)}.png")
            for image, text in pairs
        ]


def _read(run_dir: Path) -> tuple[dict[str, np.ndarray], Any] | None:
    if not (run_dir / FILE).is_file():
        log.warning("nothing to show of attention: this run has kept none")
        return None
    found = read_npz(run_dir / FILE)
    return found, parse_json(found.pop("facts").tobytes())


def _looked(found: dict[str, np.ndarray], facts: Any, names: list[str]) -> Figure:
    rows, images = len(facts["ids"]), [n for n in names if f"{n}.picture" in found]
    first = images[:1]  # the picture itself, beside what is read of it
    figure, axes = style.panels(rows, len(names) + len(first), _SIDE, _SIDE)
    for row in range(rows):
        cells = list(axes[row])
        for name in first:
            _picture(cells.pop(0), found[f"{name}.picture"][row], name if row == 0 else "")
        for name, axis in zip(names, cells, strict=True):
            title = f"{name}: {HOW[facts['how'][name]]}" if row == 0 else ""
            own = found[f"{name}.map"][row]
            if f"{name}.picture" in found:
                _picture(axis, overlay(found[f"{name}.picture"][row], own), title)
            elif own.ndim == 1 and name in facts["words"]:
                _text(axis, facts["words"][name][row], own, title)
            else:
                _picture(axis, own if own.ndim == 2 else own[None], title)
        axes[row, 0].set_ylabel(style.short(facts["ids"][row]), fontsize=7)
    style.title(figure, "Attention of the embeddings: yellow most, black least")
    return figure


def _nearness(found: dict[str, np.ndarray], facts: Any, image: str, text: str) -> Figure:
    cosine, pictures = found[f"{image}-{text}.cosine"], found.get(f"{image}.picture")
    spoken = [[word for word in own if word[0] not in MARKS] for own in facts["words"][text]]
    columns = 1 + min(_WORDS, max(map(len, spoken), default=0))
    figure, axes = style.panels(len(cosine), columns, _SIDE * 0.8, _SIDE * 0.92)
    for row, panels in enumerate(axes):
        for axis in panels:
            axis.axis("off")
        under = np.full((64, 64, 3), 128, np.uint8) if pictures is None else pictures[row]
        _picture(panels[0], under, style.short(facts["ids"][row]))
        words = [(word, cosine[row][places].mean(0)) for word, places in spoken[row]]
        most = sorted(range(len(words)), key=lambda i: -float(words[i][1].max()))[:_WORDS]
        low, high = (f([f(words[i][1]) for i in most]) for f in (np.min, np.max)) if most else (0.0, 1.0)
        for axis, i in zip(panels[1:], sorted(most), strict=False):
            word, x = words[i]
            _picture(axis, overlay(under, x, float(low), float(high)), f"{cleaned(word)[:14]} {x.max():.2f}")
    style.title(
        figure,
        f"Cosine of each word of {text} with each patch of {image}, and its maximum; one scale per row, yellow nearest",
    )
    return figure


def _picture(axes: Axes, image: np.ndarray, title: str) -> None:
    axes.imshow(image, interpolation="nearest")
    axes.set_title(title, fontsize=8)
    style.bare(axes)


def _text(axes: Axes, words: list[Any], read: np.ndarray, title: str) -> None:
    """The words in lines, each on the colour of what its tokens have got, of the word that got the most."""
    axes.set_title(title, fontsize=8)
    style.bare(axes)
    shares = [float(read[places].sum()) for _, places in words]
    most, x, y = max(shares, default=1.0) or 1.0, 0.0, 0
    for (word, _), share in zip(words, shares, strict=True):
        shown = cleaned(word)[:_LETTERS]
        if x and x + len(shown) > _LETTERS:
            x, y = 0.0, y + 1
        if y == _LINES:
            axes.text(0, 1 - (y + 0.5) / (_LINES + 1), "…", fontsize=7, va="center")
            break
        value = share / most
        back = matplotlib.colormaps[HEAT](value)
        axes.text(
            x / _LETTERS, 1 - (y + 0.5) / (_LINES + 1), style.plain(shown), family="monospace", fontsize=7, va="center",
            color="white" if value < 0.6 else style.INK, bbox={"facecolor": back, "edgecolor": "none", "pad": 1.2},
        )  # fmt: skip
        x += len(shown) + 1
    axes.set(xlim=(0, 1), ylim=(0, 1))
