"""Thresholds of several 0/1 labels, tuned on the validation split, and the file that keeps them (`thresholds.json`)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from multimodal_lab import files
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.said import Said
from multimodal_lab.metric import multilabel
from multimodal_lab.runs.guarded import read_json
from multimodal_lab.runs.records import LayoutError
from multimodal_lab.text import expected_one_of, some

FILE = "thresholds.json"
UNTUNED = 0.5  # of a class that the validation split has no positive of
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tuned:
    """What one head gives its label above: values (K,), the probability of each class; classes: their K names."""

    head: str
    label: str
    values: np.ndarray
    classes: list[str]


def tune(head: str, val: Embeddings, classes: Sequence[str]) -> np.ndarray:
    """(K,) the threshold of each class with the best F1 on the validation rows where the head had something to read."""
    said, k = val.said.get(head), len(classes)
    known = np.zeros((0, k)) if said is None else val.targets[said.label][said.rows]
    chances = np.zeros((0, k)) if said is None else probabilities(said)[said.rows]
    if lacking := [c for c, there in zip(classes, np.atleast_1d((known > 0).any(0)), strict=True) if not there]:
        log.warning(
            "head %s: the validation split has no positive of %d of %d classes (%s); their threshold stays %g",
            head, len(lacking), k, some(lacking), UNTUNED,
        )  # fmt: skip
    return multilabel.best_thresholds(chances, known, UNTUNED)


def probabilities(said: Said) -> np.ndarray:
    """(N, K) float64, the sigmoid of what a head of several labels says."""
    x = said.values.astype(np.float64)
    return np.asarray(np.exp(-np.logaddexp(0, -x)))


def write(folder: Path, found: Iterable[Tuned]) -> None:
    """`thresholds.json`: {head: {label, thresholds: {class: number}}}, atomically; nothing where nothing was tuned."""
    heads = {
        t.head: {"label": t.label, "thresholds": dict(zip(t.classes, t.values.tolist(), strict=True))} for t in found
    }
    if heads:
        files.write_json(folder / FILE, heads)


def read(folder: Path) -> dict[str, dict[str, float]]:
    """{head: {class: threshold}} of a run that has tuned; `LayoutError` where the file is not as `write` writes it."""
    try:
        heads = read_json(folder / FILE)
        found = {head: {str(c): float(t) for c, t in own["thresholds"].items()} for head, own in heads.items()}
        if wrong := [t for own in found.values() for t in own.values() if not 0 <= t <= 1]:
            raise ValueError(f"a threshold is {wrong[0]:g}, expected 0 to 1")
    except (OSError, AttributeError, TypeError, KeyError, ValueError) as error:
        raise LayoutError(f"{folder / FILE}: not as a run writes it ({' '.join(str(error).split())[:200]})") from error
    return found


def chosen(head: str, classes: Sequence[str], kept: Mapping[str, Mapping[str, float]]) -> np.ndarray:
    """(K,) what `read` gave of a head, by class; `ValueError` for a head or class that nothing was tuned for."""
    if head not in kept:
        raise ValueError(f"{FILE}: nothing was tuned for head {head!r}; {expected_one_of(head, kept)}")
    if lacking := [c for c in classes if c not in kept[head]]:
        raise ValueError(
            f"{FILE}: head {head}: no threshold of class {lacking[0]!r}; {expected_one_of(lacking[0], kept[head])}"
        )
    return np.array([kept[head][c] for c in classes])
