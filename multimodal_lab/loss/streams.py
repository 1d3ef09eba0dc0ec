"""Which named outputs a loss compares: each with itself, or every pair of streams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations

import torch
from torch import Tensor

FUSED = "fused"


def stream_pairs(z: Mapping[str, Tensor]) -> list[tuple[str, str]]:
    """Every unordered pair of names but `fused`, which has seen both sides of any pair."""
    return list(combinations([name for name in z if name != FUSED], 2))


def required_pairs(z: Mapping[str, Tensor], loss: str) -> list[tuple[str, str]]:
    """`stream_pairs`, at least one; `ValueError` for a loss that has nothing else to compare."""
    pairs = stream_pairs(z)
    if not pairs:
        found = ", ".join(z) or "nothing"
        raise ValueError(
            f"loss {loss} compares two streams or more, found {found}; for a single stream use a loss of two views"
        )
    return pairs


def mean_of(terms: Iterable[Tensor]) -> Tensor:
    """The mean of scalars, one or more."""
    return torch.stack(list(terms)).mean()
