"""Hashes that numbers are drawn from: of words, and the mixing step of SplitMix64; equal bits on every machine."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # a command line that only checks its config does not pay for it
    import numpy as np

    Number = TypeVar("Number", int, np.ndarray)

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio, odd
FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
ALL = (1 << 64) - 1


def stable_id(text: str) -> int:
    """A signed 64-bit hash of `text` (BLAKE2b)."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


def splitmix64(x: Number) -> Number:
    """One output of SplitMix64 (Steele et al. 2014) from state `x`, an int of 64 bits or a uint64 array of any shape."""
    x = (x + GOLDEN) & ALL  # an int grows where an array wraps: the mask makes both equal
    x = ((x ^ (x >> 30)) * FIRST) & ALL
    x = ((x ^ (x >> 27)) * SECOND) & ALL
    return x ^ (x >> 31)
