"""The metric of a label in `predictions.parquet`, and its chance level.

Classes: accuracy. Values: r2. Several 0/1 labels: the share of labels right, for average precision, which a run's own table
shows, is no mean over samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from multimodal_lab.metric.direction import chance_key

if TYPE_CHECKING:  # a list of cells needs no statistics
    from multimodal_lab.stats.answers import Kind

RIGHT = "share of labels right"
KINDS: dict[str, Kind] = {"accuracy": "classes", RIGHT: "labels", "r2": "values"}
BEFORE = "labels_right"  # accuracy_micro, in runs of an earlier version
NAMES = {"accuracy": "accuracy", "accuracy_micro": RIGHT, BEFORE: RIGHT, "r2": "r2"}


def metric(summary: Mapping[str, Any], evaluator: str, label: str) -> str:
    """Its name, by a finished run's summary."""
    parts = (key.split("/", 2) for key in summary)
    ends = {part[2] for part in parts if len(part) == 3 and part[0] == evaluator}
    return next((name for kind, name in NAMES.items() if f"{label}/{kind}" in ends), "score")


def chance(summary: Mapping[str, Any], evaluator: str, label: str) -> float | None:
    """What a report tells beside it: of classes the most that a constant answer can reach. None where not recorded."""
    several = metric(summary, evaluator, label) == RIGHT
    return summary.get(chance_key(summary, evaluator, label, "chance_majority" if several else "chance"))


def prior(summary: Mapping[str, Any], evaluator: str, label: str) -> float | None:
    """What answering what is commonest in the training part scores. None where it was not recorded."""
    told = chance(summary, evaluator, label)
    if metric(summary, evaluator, label) == RIGHT:
        return told
    return float(summary.get(chance_key(summary, evaluator, label, "chance_prior"), told or 0.0))
