"""Grouped cross-validation folds."""

from __future__ import annotations

import numpy as np


def deal(groups: np.ndarray, labels: np.ndarray | None, folds: int, seed: int = 0) -> np.ndarray:
    """A fold 0..folds-1 for each of N samples, (N,) int64: a group is in one fold, each class is spread over them.

    groups (N,); labels (N,) class index or None. Groups are shuffled, ordered by their commonest class and dealt out in
    turn, so that folds differ by at most one group of any class. With fewer groups than folds the last folds are empty.
    """
    names, index = np.unique(groups, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    if labels is not None:
        classes = np.unique(labels, return_inverse=True)[1]
        counts = np.zeros((len(names), int(classes.max(initial=0)) + 1), dtype=np.int64)
        np.add.at(counts, (index, classes), 1)
        order = order[np.argsort(counts.argmax(1)[order], kind="stable")]
    fold = np.empty(len(names), dtype=np.int64)
    fold[order] = np.arange(len(names)) % folds
    return fold[index]
