"""Collectives without a gradient for the tiled losses; the identity in a single process."""

from __future__ import annotations

import torch.distributed as td
from torch import Tensor

from multimodal_lab.device import distributed


def total(x: Tensor) -> Tensor:
    """`x` summed over ranks, in place."""
    if distributed.active():
        td.all_reduce(x)
    return x


def largest(x: Tensor) -> Tensor:
    """The largest of `x` over ranks, element by element, in a tensor of its own."""
    y = x.clone()
    if distributed.active():
        td.all_reduce(y, op=td.ReduceOp.MAX)
    return y


def own_part(x: Tensor) -> Tensor:
    """Of x (world·N, …), summed over ranks, the N rows of this rank; `x` is overwritten."""
    if not distributed.active():
        return x
    parts = x.chunk(distributed.world())
    # A reduction a rank and not reduce_scatter, which gloo lacks: as many bytes, no second copy.
    for rank, part in enumerate(parts):
        td.reduce(part, rank)
    return parts[distributed.rank()].clone()
