"""Which steps of a recording weigh how much in its embedding, with frames of a video above."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from multimodal_lab.evaluate.time_samples import FILE
from multimodal_lab.files import named, parse_json
from multimodal_lab.report import style
from multimodal_lab.runs.guarded_arrays import read_npz

log = logging.getLogger(__name__)
_WIDTH, _HEIGHT = 7.2, 1.1  # inches of a strip or a plot


def attention_time(folder: Path, run_dir: Path) -> list[Path]:
    """`attention_time_STREAM.png` of each stream whose backbone attends over time: samples below each other."""
    if not (run_dir / FILE).is_file():
        log.warning("nothing to show of attention over time: this run has kept none")
        return []
    found = read_npz(run_dir / FILE)
    facts = parse_json(found.pop("facts").tobytes())
    with style.look():
        return [
            style.save(_weighted(found, facts, name), folder / f"attention_time_{named(name)}.png")
            for name in facts["rate"]
        ]


def _weighted(found: dict[str, np.ndarray], facts: Any, name: str) -> Figure:
    weights, frames, rate = found[f"{name}.weights"], found.get(f"{name}.frames"), facts["rate"][name]
    each = 1 if frames is None else 2
    figure, axes = style.panels(each * len(weights), 1, _WIDTH, _HEIGHT)
    for row, own in enumerate(weights):
        axis, real = axes[each * row + each - 1, 0], np.flatnonzero(~np.isnan(own))
        axis.bar(real, own[real], width=0.9, color=style.colour(0))
        axis.axhline(1 / len(real), color=style.GREY, lw=0.8)  # each as much
        axis.set_xlim(real[0] - 0.6, real[-1] + 0.6)
        axis.tick_params(labelsize=7)
        if rate:
            axis.xaxis.set_major_formatter(lambda t, _, hz=rate: f"{t / hz:.2f}")
        said = axis
        if frames is not None:
            said, places = axes[each * row, 0], found[f"{name}.places"][row]
            said.imshow(np.concatenate([*frames[row]], 1), interpolation="nearest")
            style.bare(said)
            axis.plot(places, np.zeros(len(places)), "^", color=style.INK, ms=4, clip_on=False)  # where they are from
        said.set_ylabel(style.short(facts["ids"][row]), fontsize=7)
    axes[-1, 0].set_xlabel("seconds" if rate else "step", fontsize=8)
    style.title(figure, f"Weight of each step of {name} in the embedding; grey: uniform")
    return figure
