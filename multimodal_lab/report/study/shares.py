"""Report sections on Shapley values: one model on every subset, and retrained models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from multimodal_lab.report.study.elements import Section, Table, figure, number, spread


def subsets(made: Mapping[str, Any], figures: Mapping[str, Path]) -> Iterator[Section]:
    """What one model trained with modality dropout makes of every subset."""
    if not made.get("subsets"):
        return
    rows = [row for label, own in made["subsets"].items() for row in _game(label, own)]
    arm = next(iter(made["subsets"].values()))["arm"]
    said = f"Of one model ({arm}, trained with modality dropout): statements about this model, not about the modalities as such."
    drawn = [
        *figure("Shapley values", "shapley", figures),
        *figure("Score by how many modalities are there", "missing", figures),
    ]
    yield Section("Shares of one model's score", [said], [Table(("label", "what", "value"), rows)], drawn)


def retrained(made: Mapping[str, Any], figures: Mapping[str, Path]) -> Iterator[Section]:
    """The slow check, with what the one model says beside it where there is one."""
    if not (found := made.get("retrained")):
        return
    rows = []
    for label, own in found.items():
        other = {what: value for _, what, value in _game(label, (made.get("subsets") or {}).get(label))}
        rows += [[*row, *([other.get(row[1], "–")] if made.get("subsets") else [])] for row in _game(label, own)]
    arms = next(iter(found.values()))["arms"]
    said = [
        "Of as many models as there are subsets, each trained on one alone: what can be learnt from a subset, and no statement "
        "about any one model.",
        "Trained on " + "; ".join(f"{subset}: {arm}" for subset, arm in arms.items()) + ".",
    ]
    head = ("label", "what", "retrained on each subset")
    beside = ("one model with modality dropout",) if made.get("subsets") else ()
    drawn = figure("Shapley values of models retrained on each subset", "retrained", figures)
    yield Section("Shares, retrained on every subset", said, [Table((*head, *beside), rows)], drawn)


def _game(label: str, own: Mapping[str, Any] | None) -> list[list[str]]:
    """(label, what, value) of every score, Shapley value and interaction."""
    if own is None:
        return []
    parts = {"score of ": own["scores"], "Shapley value of ": own["shapley"], "interaction of ": own["interactions"]}
    rows = [[label, what + name, spread(v)] for what, part in parts.items() for name, v in part.items()]
    return [*rows, [label, f"{own['metric']} of nothing (the prior)", number(own["empty"])]]
