"""Which way a score gets better: known by the last word of its name."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal

Mode = Literal["auto", "min", "max"]
SCORES = {
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "macro_ap",
    "labels_right",
    "r2",
    "ari",
    "nmi",
    "homogeneity",
    "map",
}
SCORES |= {"spearman", "score", "explained"}  # more is better, whatever was trained; so are R@1, R@5, …
MORE, LESS = {"rankme"}, {"median_rank", "alignment", "uniformity"}  # as a rule: who asks for the other way is obeyed
RECALL = re.compile(r"R@\d+")


def usual(name: str, losses: Collection[str] | None = None) -> Literal["min", "max"] | None:
    """The better way of `val/knn/fused/species/accuracy`; None where it is not known, as of counts.

    `val/NAME` is a term of the loss, where `losses` are given one of these or `total`: less is better.
    """
    words = name.split("/")
    if len(words) == 2:
        return "min" if losses is None or words[1] in {"total", *losses} else None
    if words[-1] in LESS:
        return "min"
    return "max" if words[-1] in SCORES | MORE or RECALL.fullmatch(words[-1]) else None


def sure(name: str) -> bool:
    """Whether the other way can only be a mistake."""
    return name.split("/")[-1] not in LESS | MORE


def resolve(mode: str, monitor: str | None) -> str:
    """`min` or `max`; without a score to watch `auto` is `min`, which then moves nothing. ValueError where not known."""
    if mode != "auto":
        return mode
    found = "min" if monitor is None else usual(monitor)
    if found is None:
        raise ValueError(f"train.mode=auto: whether more or less {monitor} is better is not known; say min or max")
    return found
