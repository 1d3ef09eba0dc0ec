"""Numerics shared by the losses: at least float32 under autocast, and means that stay exact under DDP averaging."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from multimodal_lab.device import distributed

_counts: list[Tensor] | None = None
LOW = -1e30
"""Stands for minus infinity in a logit, without its NaN: exp of it is 0 and 0 times it is 0."""


def wide(x: Tensor) -> Tensor:
    """`x` in float32 at least: float16 and bfloat16 are raised, float64 stays."""
    return x if x.dtype == torch.float64 else x.float()


def wide_type(dtype: torch.dtype) -> torch.dtype:
    """Float32 at least: that of `wide`'s result, and of sums over rows of `dtype`."""
    return dtype if dtype == torch.float64 else torch.float32


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """(N, D) @ (D, M) in the inputs' own precision, which autocast would lower."""
    with torch.autocast(a.device.type, enabled=False):
        return wide(a) @ wide(b)


@contextlib.contextmanager
def counting() -> Iterator[list[Tensor]]:
    """Inside, `mean_over_all` takes no mean: it adds this rank's denominator to the list."""
    global _counts
    before, _counts = _counts, []
    try:
        yield _counts
    finally:
        _counts = before


def mean_over_all(values: Tensor, valid: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of this rank's own `values` over the valid rows of all ranks; none valid anywhere gives 0 with a graph.

    values, valid (bool) and weight have any one shape. `values` carry `weight`, if given, already; it only replaces the
    count of valid rows as the denominator. Each rank divides its sum by the ranks' mean count, so the average over
    ranks of the values, and of the gradients as DDP takes it, is that of the global mean, however unevenly rows fall.
    """
    share = valid.to(values.dtype) if weight is None else torch.where(valid, weight, 0.0)
    if _counts is not None:
        _counts.append(share.sum().detach())
        return values.sum()
    count = distributed.all_reduce_mean(share.sum())
    return torch.where(valid, values, 0.0).sum() / torch.where(count > 0, count, 1.0)
