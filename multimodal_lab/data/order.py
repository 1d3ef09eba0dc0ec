"""Stable identities and orders: pure functions of names, seeds and epochs, the same on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from multimodal_lab.data.source import DataError


def stable_id(text: str) -> int:
    """A signed 64-bit hash of `text` (BLAKE2b)."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


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
        key = _mix(key ^ _mix(np.full(1, s & 0xFFFFFFFFFFFFFFFF, dtype=np.uint64)))
    return _mix(key)


def permutation(ids: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """(N,) places in the order of one epoch: which sample comes when doesn't depend on the order of the rows."""
    return np.argsort(keys(ids, seed, epoch), kind="stable")


def _mix(x: np.ndarray) -> np.ndarray:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))
