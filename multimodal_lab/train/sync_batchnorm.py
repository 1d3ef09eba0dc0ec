"""Batch normalisation over the rows of all ranks: under DDP each rank would normalise by its own share of the batch."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from multimodal_lab.device import distributed
from multimodal_lab.device.compiler import opaque


class Synchronised(_BatchNorm):
    """Put before a class of batch norm: in training its statistics are those of the batch of all ranks, with gradient.

    Value and gradient are those of one process with the global batch. Alone, in evaluation and in a pass that one rank makes
    alone it is the class itself. torch's `SyncBatchNorm` does the same on GPUs only; the formula is its own: the ranks' means,
    variances and counts are combined (Chan et al. 1979), one message a layer and direction.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, …) to the same shape and type; statistics in fp32 or wider. Every rank must enter."""
        if not (self.training and distributed.active()):
            own: Tensor = super().forward(input)
            return own
        y: Tensor = _normalised(self, input)
        for after in ("drop", "act"):  # of timm's norms, which have their activation in them
            y = getattr(self, after)(y) if hasattr(self, after) else y
        return y


def synchronise(system: nn.Module) -> int:
    """Have every batch norm of `system` synchronised, in place; how many there are. Names and values stay.

    A frozen one, always in evaluation, is left as it is. A subclass with a forward pass unknown here is a `ValueError`.
    """
    found = [
        (name, m)
        for name, m in system.named_modules()
        if isinstance(m, _BatchNorm) and not isinstance(m, nn.SyncBatchNorm)
    ]
    for name, module in found:
        own = type(module).forward is not _BatchNorm.forward
        if own and not (hasattr(module, "drop") and hasattr(module, "act")):
            raise ValueError(
                f"{name} is a {type(module).__name__}, a batch norm with a forward pass of its own, which can't be synchronised "
                "over ranks; set train.sync_batchnorm=false to have each rank normalise by its own rows"
            )
        kind: Any = type(module)
        module.__class__ = _class(kind)
    return len(found)


@cache
def _class(kind: Any) -> Any:
    return type(f"Synchronised{kind.__name__}", (Synchronised, kind), {})


@opaque  # a collective
def _normalised(norm: _BatchNorm, x: Tensor) -> Tensor:
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    axes = [0, *range(2, x.ndim)]
    var, mean = torch.var_mean(wide, axes, correction=0)
    width, rows = len(mean), x.numel() // len(mean)
    every = distributed.gather(torch.cat([mean, var, mean.new_full((1,), rows)])[None])
    means, variances, counts = torch.split(every, [width, width, 1], 1)
    share, count = counts / counts.sum(), counts.sum().detach()
    mean = (share * means).sum(0)
    var = (share * (variances + (means - mean).square())).sum(0)
    _move_running(norm, mean.detach(), var.detach() * count / (count - 1).clamp(min=1))
    shape = (1, width, *[1] * (x.ndim - 2))
    y: Tensor = (wide - mean.view(shape)) * torch.rsqrt(var + norm.eps).view(shape)
    if norm.weight is not None:
        y = y * norm.weight.view(shape) + norm.bias.view(shape)
    return y.to(x.dtype)


@torch.no_grad()
def _move_running(norm: _BatchNorm, mean: Tensor, var: Tensor) -> None:
    """The running statistics moved towards those of the batch, as torch does it."""
    if not norm.track_running_stats or norm.running_mean is None or norm.running_var is None:
        return
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    weight = norm.momentum if norm.momentum is not None else 1.0 / float(norm.num_batches_tracked)
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), weight)
    norm.running_var.lerp_(var.to(norm.running_var.dtype), weight)
