"""Means and pairs over groups, each of which counts the same whatever its size."""

from __future__ import annotations

import numpy as np


def numbered(groups: np.ndarray | None, count: int) -> np.ndarray:
    """Groups (N,) as whole numbers from 0 on; None: each of `count` rows is a group of its own."""
    index: np.ndarray = np.arange(count) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    return index


def means(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """(G, ...) the mean of the rows of values (N, ...) of each group; index (N,) as `numbered` gives it."""
    order, sizes = np.argsort(index, kind="stable"), np.bincount(index)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    if len(sizes) == len(index):
        found: np.ndarray = np.asarray(values)[order]
        return found
    sums: np.ndarray = np.add.reduceat(np.asarray(values)[order], starts, axis=0)
    return sums / sizes.reshape(-1, *(1,) * (sums.ndim - 1))


def shares(index: np.ndarray) -> np.ndarray:
    """(N,) the weight of each row: 1 / (G x the rows of its group), so that a group weighs 1 / G."""
    sizes = np.bincount(index)
    weights: np.ndarray = 1 / (len(sizes) * sizes[index])
    return weights


def apart(index: np.ndarray) -> np.ndarray:
    """(N, N) True where two rows are of different groups."""
    pairs: np.ndarray = index[:, None] != index
    return pairs
