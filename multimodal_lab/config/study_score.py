"""`study.score` and `study.margin`: one value for all labels, or one for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from multimodal_lab.config.problem import Problem
from multimodal_lab.stats.score_names import LOSSES, ScoreName
from multimodal_lab.text import nearest

T = TypeVar("T")


def of_label(given: T | Mapping[str, T] | None, label: str) -> T | None:
    """What stands for a label; None: its default."""
    return given.get(label) if isinstance(given, Mapping) else given


def score_problems(
    labels: Sequence[str],
    score: ScoreName | Mapping[str, ScoreName] | None,
    margin: float | Mapping[str, float] | None,
) -> Iterator[Problem]:
    """What is wrong with the labels that scores and margins are named for, and with a margin."""
    for where, own in (("score", score), ("margin", margin)):
        for label, value in own.items() if isinstance(own, Mapping) else ():
            if label not in labels:
                expects = f"no such label; there are {', '.join(labels)}"
                yield Problem(f"study.{where}.{label}", value, expects, *nearest(label, labels))
    for label in labels:
        own_margin = of_label(margin, label)
        if own_margin is not None and own_margin >= 1 and of_label(score, label) not in LOSSES:
            expects = f"of {label}: expected less than 1 (0.02 is 2 points); of a loss it is in the loss's own unit"
            yield Problem("study.margin", own_margin, expects, "study.margin=0.02")
            return
