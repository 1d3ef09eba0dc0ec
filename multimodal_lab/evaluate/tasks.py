"""Which (name, label) pairs an evaluator scores and on which rows; skipped ones are counted and reported."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from multimodal_lab.evaluate.embeddings import Embeddings

TaskKind = Literal["classes", "multilabel", "values", "sequence"]
COUNTS = ("n", "n_missing", "n_train", "n_unseen")  # beside every score
_CLASSES: tuple[TaskKind, ...] = ("classes",)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """One label read from one name: x (N, D), y as in `Embeddings.targets` less missing rows; `key` begins scores.

    rows (N,): places of x and y among the test rows.
    """

    key: str
    name: str
    label: str
    kind: TaskKind
    train_x: np.ndarray
    train_y: np.ndarray
    train_groups: np.ndarray
    x: np.ndarray
    y: np.ndarray
    rows: np.ndarray


def kind(target: np.ndarray) -> TaskKind:
    """One class a sample (integers), several (N, K) of 0/1, real values, or a sequence (a caption), judged by none."""
    if target.ndim == 1:
        return "values" if target.dtype.kind == "f" else "classes"
    known = target[np.isfinite(target)] if target.dtype.kind == "f" else target
    if np.isin(known, (-1, 0, 1)).all():
        return "multilabel"
    return "values" if target.dtype.kind == "f" and target.ndim == 2 else "sequence"


def labelled(target: np.ndarray) -> np.ndarray:
    """(N,) bool: rows whose label is known, neither negative (classes, 0/1) nor NaN."""
    flat = target.reshape(len(target), math.prod(target.shape[1:]))  # of no rows, too
    return np.asarray((np.isfinite(flat) if kind(target) == "values" else flat >= 0).all(1))


class ScoreSheet:
    """The flat scores of one evaluator, with what was skipped and why."""

    def __init__(self, evaluator: str) -> None:
        self.evaluator = evaluator
        self.scores: dict[str, float] = {}

    def skip(self, key: str, reason: str) -> None:
        """Record `<key>/skipped/<reason>` = 1 and log it."""
        self.scores[f"{key}/skipped/{reason}"] = 1.0
        log.info("%s skipped: %s", key, reason.replace("_", " "))

    def put(self, key: str, **scores: float) -> None:
        """Record `<key>/<score>` for each."""
        self.scores.update({f"{key}/{k}": float(v) for k, v in scores.items()})

    def tasks(self, train: Embeddings, test: Embeddings, kinds: Collection[TaskKind] = _CLASSES) -> Iterator[Task]:
        """Every pair that test rows can judge after fitting on train rows; counts n, n_missing, n_train, n_unseen.

        n_missing: test rows left out because the modality or the label is missing. n_unseen: test rows of a class
        that no training row has: they stay in and can only be wrong. A label all of whose test classes are unseen is
        skipped.
        """
        for task in self.held_out(test, kinds):
            known = train.present[task.name] & labelled(train.targets[task.label])
            x, y = train.vectors[task.name][known], train.targets[task.label][known]
            unseen = np.zeros(len(task.y), dtype=bool) if task.kind != "classes" else ~np.isin(task.y, y)
            if not len(y) or (task.kind == "classes" and len(np.unique(y)) < 2):
                self.skip(task.key, "fewer_than_two_training_classes" if task.kind == "classes" else "no_training_rows")
            elif unseen.all():
                self.skip(task.key, "no_test_class_in_training")
            else:
                self.put(task.key, n_train=len(y), n_unseen=unseen.sum())
                facts = (task.key, task.name, task.label, task.kind)
                yield Task(*facts, x, y, train.groups[known], task.x, task.y, task.rows)

    def held_out(self, test: Embeddings, kinds: Collection[TaskKind] = _CLASSES) -> Iterator[Task]:
        """Every pair that can be judged on test rows alone (train_x and train_y are empty); counts n and n_missing."""
        for name, vectors in test.vectors.items():
            for label, target in test.targets.items():
                key = f"{self.evaluator}/{name}/{label}"
                what = kind(target)
                if what not in kinds:
                    self.skip(key, f"target_is_{what}")
                    continue
                known = test.present[name] & labelled(target)
                self.put(key, n=known.sum(), n_missing=(~known).sum())
                if not known.any():
                    self.skip(key, "no_test_rows")
                    continue
                none = np.zeros(0, dtype=np.int64)
                facts = (key, name, label, what)
                yield Task(*facts, vectors[:0], target[:0], none, vectors[known], target[known], np.flatnonzero(known))
