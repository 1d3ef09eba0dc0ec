"""What heads tell of maps: for some held-out samples the picture, the truth and the answer."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from multimodal_lab.evaluate.map_samples import FILE
from multimodal_lab.files import parse_json
from multimodal_lab.report import style
from multimodal_lab.report.palette import class_colour
from multimodal_lab.runs.guarded_arrays import read_npz

log = logging.getLogger(__name__)


def segmentation(folder: Path, run: Path) -> list[Path]:
    """`segmentation.png`, or `segmentation_HEAD.png` of several heads; says in the log where a run has told no map."""
    if not (run / FILE).is_file():
        log.warning("no maps to show: no head of this run tells a map (head=segment)")
        return []
    found = read_npz(run / FILE)
    facts = parse_json(found.pop("facts").tobytes())
    heads = list(facts["names"])
    with style.look():
        return [
            style.save(
                _figure(found, head, facts),
                folder / ("segmentation.png" if len(heads) == 1 else f"segmentation_{head}.png"),
            )
            for head in heads
        ]


def _figure(found: dict[str, np.ndarray], head: str, facts: Any) -> Figure:
    pictures = [name for name in found if name.endswith(".picture")]
    truth, told, names = found[f"{head}.truth"], found[f"{head}.told"], [str(n) for n in facts["names"][head]]
    figure, axes = style.panels(len(truth), len(pictures) + 2, width=2.2, height=2.2)
    known = truth >= 0 if len(names) else np.isfinite(truth)
    for row, panels in enumerate(axes):
        shown = [(name.removesuffix(".picture"), found[name][row]) for name in pictures]
        shown += [
            ("truth", _drawn(truth[row], known[row], names, truth)),
            ("told", _drawn(told[row], None, names, truth)),
        ]
        for axis, (title, image) in zip(panels, shown, strict=True):
            _show(axis, image, title if row == 0 else "")
        right = (truth[row] == told[row])[known[row]].mean() if len(names) and known[row].any() else None
        panels[-1].set_xlabel(f"{right:.0%} of the known pixels" if right is not None else "", fontsize=7)
        panels[0].set_ylabel(style.short(str(facts["ids"][row])), fontsize=7)
    there: list[int] = (
        np.unique(np.concatenate([truth[known], told.ravel()])).astype(int).tolist() if len(names) else []
    )
    patches = [Patch(color=class_colour(k), label=style.short(names[k])) for k in there]
    if patches:
        figure.legend(handles=patches, loc="outside right upper", fontsize=8, alignment="left")
    style.title(figure, f"Held-out maps predicted by {head}; white: not labelled")
    return figure


def _drawn(x: np.ndarray, known: np.ndarray | None, names: list[str], like: np.ndarray) -> np.ndarray:
    """(H, W, 3) in [0, 1]: classes by their colours, numbers in grey between the truth's ends; unknown pixels are white."""
    if names:
        table = np.array([class_colour(k) for k in range(len(names))])
        picture = table[x.clip(min=0)]
    else:
        low, high = np.nanmin(like), np.nanmax(like)
        picture = np.repeat(((np.nan_to_num(x, nan=low) - low) / max(high - low, 1e-12)).clip(0, 1)[..., None], 3, 2)
    return picture if known is None else np.where(known[..., None], picture, 1.0)


def _show(axis: Axes, image: np.ndarray, title: str) -> None:
    axis.imshow(image, interpolation="nearest")
    axis.set_title(title, fontsize=9)
    style.bare(axis)
