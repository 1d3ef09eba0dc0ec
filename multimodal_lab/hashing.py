"""Hashes that numbers are drawn from: of words, and the mixing step of SplitMix64; equal bits on every machine."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # a command line that only checks its config does not pay for it
    import numpy as np
    from torch import Tensor

    Number = TypeVar("Number", int, np.ndarray)

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio, odd
FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
ALL = (1 << 64) - 1
SIGNED_GOLDEN, SIGNED_FIRST, SIGNED_SECOND = (bits - (1 << 64) for bits in (GOLDEN, FIRST, SECOND))


def stable_id(text: str) -> int:
    """A signed 64-bit hash of `text` (BLAKE2b)."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


def text_id(text: str) -> int:
    """That of a text itself, as it is stored: apart from those of names, so that no text is taken for a sample."""
    return stable_id(f"text\0{text}")


def splitmix64(x: Number) -> Number:
    """One output of SplitMix64 (Steele et al. 2014) from state `x`, an int of 64 bits or a uint64 array of any shape."""
    x = (x + GOLDEN) & ALL  # an int grows where an array wraps: the mask makes both equal
    x = ((x ^ (x >> 30)) * FIRST) & ALL
    x = ((x ^ (x >> 27)) * SECOND) & ALL
    return x ^ (x >> 31)


def mix(z: Tensor) -> Tensor:
    """`splitmix64` of an int64 tensor of any shape, bit for bit: torch has little arithmetic on uint64."""
    z = z + SIGNED_GOLDEN
    z.bitwise_xor_(shifted(z, 30)).mul_(SIGNED_FIRST)
    z.bitwise_xor_(shifted(z, 27)).mul_(SIGNED_SECOND)
    return z.bitwise_xor_(shifted(z, 31))


def shifted(z: Tensor, bits: int, width: int = 64) -> Tensor:
    """Logical right shift of signed integers of `width` bits; torch's own keeps the sign."""
    return (z >> bits).bitwise_and_((1 << (width - bits)) - 1)


def uniform(keys: Tensor) -> Tensor:
    """A number in [0, 1) for each int64 key, float32: 24 bits, as many as it holds exactly."""
    return shifted(mix(keys), 40).float() * 2.0**-24
