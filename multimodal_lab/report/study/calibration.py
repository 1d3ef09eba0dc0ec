"""Report section and reliability figure on how well each arm's probabilities are calibrated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from multimodal_lab.report.study.elements import Section, Table, figure, number


def calibration(made: Mapping[str, Any], figures: Mapping[str, Path]) -> Iterator[Section]:
    """The ECE of every arm on every label that has probabilities."""
    found = _found(made)
    if not found:
        return
    rows = [[label, arm, number(own["ece"]), f"{number(min(own['runs']))} to {number(max(own['runs']))}",
             number(own["calibrated"])] for label, arms in found.items() for arm, own in arms.items()]  # fmt: skip
    said = [
        "The expected calibration error (ECE) is how far the confidence of the chosen answer is from the share that is right, "
        "over 15 bins of equal width; the mean over runs, and the lowest and the highest. It is biased upwards where samples are "
        "few, so that no interval is given: by chance is what calibrated answers of the same confidence get.",
    ]
    table = Table(("label", "arm", "ECE", "runs", "by chance"), rows)
    drawn = figure(
        "Reliability: the share that is right by confidence; the diagonal is calibrated", "reliability", figures
    )
    yield Section("Calibration", said, [table], drawn)


def draw(made: Mapping[str, Any]) -> Any | None:
    """The reliability of every arm that is no control, a panel for each label; None where there is none to show."""
    from multimodal_lab.report import style

    labels = {k: own for k, own in _found(made).items() if own}
    if not labels:
        return None
    with style.look():
        sketch, axes = style.panels(1, len(labels), max(2.9, 7.0 / len(labels)), 3.0)
        for ax, (label, arms) in zip(axes[0], labels.items(), strict=True):
            ax.plot([0, 1], [0, 1], ":", color=style.GREY, lw=0.8)
            shown = [a for a in arms if made["labels"][label]["arms"][a]["role"] != "control"]
            for i, arm in enumerate(shown):
                bins = [b for b in arms[arm]["bins"] if b["n"]]
                x, y = ([b[k] for b in bins] for k in ("confidence", "right"))
                ax.plot(x, y, style.marker(i) + "-", color=style.colour(i), label=style.short(arm), ms=4)
            ax.set_xlim(0, 1.02)
            ax.set_ylim(0, 1.02)
            ax.set_title(style.short(label))
            ax.set_xlabel("confidence")
        axes[0][0].set_ylabel("share right")
        axes[0][0].legend(fontsize=7)
    return sketch


def _found(made: Mapping[str, Any]) -> dict[str, Any]:
    return {label: own["calibration"] for label, own in made["labels"].items() if own.get("calibration")}
