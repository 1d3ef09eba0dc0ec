"""Learning curves from `metrics.jsonl`."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from multimodal_lab.metric.direction import Scored, usual
from multimodal_lab.report import style
from multimodal_lab.runs.guarded import MOST_LOG, read_bytes

log = logging.getLogger(__name__)
Series = dict[str, tuple[np.ndarray, np.ndarray]]
_LINES = 10


def read(path: Path) -> Series:
    """{key: (steps, values)} of a file with one JSON object a line that has `step` and flat numbers.

    A last line cut short by a crash is left out; one that is broken before the end is an error that names it.
    """
    lines = read_bytes(path, MOST_LOG).splitlines()
    found: dict[str, list[tuple[float, float]]] = {}
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            step = float(row.pop("step"))
            numbers = {k: v for k, v in row.items() if v is None or isinstance(v, int | float)}
            values = {k: math.nan if v is None else float(v) for k, v in numbers.items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            if number == len(lines):
                log.warning("%s: the last line is incomplete and left out", path)
                break
            raise ValueError(f"{path}: line {number} is not a JSON object with a number `step`") from None
        for key, value in values.items():  # null: not finite, a gap in the curve
            found.setdefault(key, []).append((step, value))
    columns = {key: np.array(points).T for key, points in found.items()}
    return {key: (xy[0], xy[1]) for key, xy in columns.items()}


def curves(folder: Path, file: Path, scored: Sequence[Scored] = (), monitor: str | None = None) -> list[Path]:
    """`curves.png`: losses of training and validation, validation scores, learning rates, gradient norm.

    Of the scores of the validation split, `monitor` and those that get better the same way, as their evaluators `scored`
    state; all of them where neither is known.
    """
    series = read(file) if file.is_file() else {}
    shown = _scores(series, scored, monitor)
    terms = {key.partition("/")[2] for key in series if key.startswith("val/") and not _score(key)}
    series = {key: xy for key, xy in series.items() if (key in shown if _score(key) else not _scalar(key, terms))}
    chosen = {title: {k: v for k, v in series.items() if belongs(k)} for title, belongs in _PANELS.items()}
    chosen = {title: lines for title, lines in chosen.items() if lines}
    if not chosen:
        log.info("no learning curves: %s has no rows", file)
        return []
    with style.look():
        figure, axes = style.panels(1, len(chosen), 4.6, 3.4)
        for axis, (title, lines) in zip(axes[0], chosen.items(), strict=True):
            _panel(axis, title, lines, monitor)
        return [style.save(figure, folder / "curves.png")]


def _loss(key: str) -> bool:
    head, _, rest = key.partition("/")
    return head in ("train", "val") and "/" not in rest and rest not in ("grad_norm", "epoch", "samples")


def _scalar(key: str, terms: Collection[str]) -> bool:
    """Whether a key is a scalar of a loss, such as a learned temperature: no term that the validation split has, too."""
    return bool(terms) and _loss(key) and key.partition("/")[2] not in terms


def _score(key: str) -> bool:
    return key.startswith("val/") and key.count("/") > 1


def _scores(keys: Collection[str], scored: Sequence[Scored], monitor: str | None) -> set[str]:
    ways = {key: usual(key, scored) for key in keys if _score(key)}
    if monitor in ways:
        same = ways[monitor]
        return {key for key, way in ways.items() if key == monitor or (way is not None and way == same)}
    return {key for key, way in ways.items() if way is not None or not scored}


_PANELS: dict[str, Callable[[str], bool]] = {
    "loss": _loss,
    "validation": _score,
    "learning rate": lambda key: key.startswith("lr/"),
    "gradient norm": lambda key: key == "train/grad_norm",
}


def _panel(axis: Axes, title: str, lines: Series, first: str | None) -> None:
    names = sorted(lines, key=lambda k: (not k.endswith("/total"), k != first, k))
    terms = list(dict.fromkeys(_term(k) for k in names))
    if "total" in terms and len(terms) == 2:  # one term and its total are one curve
        terms = ["total"]
    terms = terms[:_LINES]
    for key in names:
        if (term := _term(key)) not in terms:
            continue
        x, y = lines[key]
        validation = title == "loss" and key.startswith("val/")
        colour = style.INK if term == "total" else style.colour(terms.index(term) - ("total" in terms))
        same = next((a for a in axis.lines if np.array_equal(a.get_xydata(), np.array([x, y]).T, equal_nan=True)), None)
        if same is not None:  # one curve would hide the other
            if not validation:
                same.set_label(f"{same.get_label()} = {term}")
            continue
        (line,) = axis.plot(x, y, color=colour, ls="--" if validation else "-", lw=1.6)
        line.set_label(f"_{term}" if validation and f"train/{term}" in lines else term)  # `_`: not in the legend
        if len(x) < 30:
            line.set(marker="o", markersize=3)
    axis.set(title=title, xlabel="optimizer step")
    axis.grid(color="#E8E8E8", lw=0.7)
    axis.set_axisbelow(True)
    if len(names) > 1 or title == "loss":
        handles, _ = axis.get_legend_handles_labels()
        if any(line.get_linestyle() == "--" for line in axis.lines):
            handles.append(Line2D([], [], color=style.INK, ls="--", lw=1.6, label="dashed: validation"))
        axis.legend(handles=handles, fontsize=7, loc="upper left", bbox_to_anchor=(0, -0.17), ncols=3)
    values = np.concatenate([y for _, y in lines.values()])
    if title == "gradient norm" and (values > 0).all() and values.max() > 50 * values.min():
        axis.set_yscale("log")


def _term(key: str) -> str:
    return key.partition("/")[2]
