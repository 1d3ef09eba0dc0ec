"""Stable sample ids and permutations: pure functions of names, seeds and epochs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from multimodal_lab.data.source import DataError
from multimodal_lab.hashing import ALL, splitmix64, stable_id


def stable_ids(names: Sequence[str]) -> np.ndarray:
    """(N,) int64 hashes of unique names; a repeated name or two names with one hash is a `DataError`."""
    ids = np.array([stable_id(name) for name in names], dtype=np.int64)
    order = np.argsort(ids, kind="stable")
    same = np.flatnonzero(ids[order][1:] == ids[order][:-1])
    if len(same):
        a, b = names[order[same[0]]], names[order[same[0] + 1]]
        problem = f"the id {a!r} stands twice" if a == b else f"the ids {a!r} and {b!r} have the same hash; rename one"
        raise DataError(f"samples: {problem}")
    return ids


def keys(ids: np.ndarray, *salt: int) -> np.ndarray:
    """(N,) uint64 pseudo-random numbers, a function of each id and the salt alone (splitmix64, Steele et al. 2014)."""
    key = ids.astype(np.int64).view(np.uint64)
    for s in salt:
        key = splitmix64(key ^ np.uint64(splitmix64(s & ALL)))
    return splitmix64(key)


def permutation(ids: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """(N,) places in the order of one epoch: which sample comes when doesn't depend on the order of the rows."""
    return np.argsort(keys(ids, seed, epoch), kind="stable")
