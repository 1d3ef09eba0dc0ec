"""Batch normalisation over the present rows only, synchronised over ranks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from multimodal_lab.device.distributed import gather


class MaskedBatchNorm(nn.Module):
    """BatchNorm (Ioffe & Szegedy 2015, alg. 1) over the present rows of every rank; running statistics in evaluation.

    The stock layer would average the zeros of missing rows into its statistics and raises on one row. Here fewer than
    two present rows are normalised by the running statistics, and shapes and collectives are the same for any
    presence.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int, *, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum = momentum
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x: Tensor, rows: Tensor) -> Tensor:
        """x (N, D), rows (N,) bool, to (N, D) in the dtype of x; statistics in fp32 or wider."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean, var = self._batch(wide, rows) if self.training else (self.running_mean, self.running_var)
        y = (wide - mean) * torch.rsqrt(var + self.eps) * self.weight + self.bias
        return y.to(x.dtype)

    def _batch(self, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance (D,) over the present rows, and the running ones moved towards them."""
        seen = rows.to(x.dtype)[:, None]
        count = gather(seen.sum(0, keepdim=True)).sum(0)
        mean = gather((x * seen).sum(0, keepdim=True)).sum(0) / count.clamp(min=1)
        var = gather(((x - mean).square() * seen).sum(0, keepdim=True)).sum(0) / count.clamp(min=1)
        enough = count > 1
        with torch.no_grad():
            unbiased = var * count / (count - 1).clamp(min=1)
            for running, now in ((self.running_mean, mean), (self.running_var, unbiased)):
                running.lerp_(torch.where(enough, now.to(running.dtype), running), self.momentum)
        return torch.where(enough, mean, self.running_mean.clone()), torch.where(enough, var, self.running_var.clone())
