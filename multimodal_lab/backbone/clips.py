"""The real frames of videos, for networks that know no mask: what is padded or lies in a gap is never shown to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from multimodal_lab.backbone.head_of_places import running_statistics_kept
from multimodal_lab.backbone.inflate import Rule, inflate
from multimodal_lab.backbone.masked import real_first
from multimodal_lab.types import Features, Stream

Seen = tuple[Tensor, Tensor, tuple[int, int] | None]


def encode(
    module: nn.Module, see: Callable[[Tensor], Seen], x: Tensor, valid: Tensor, dim: int, steps: int
) -> Features:
    """x (N, C, T, H, W) and valid (N, T) to the Features of `see`: clips (n, C, `steps`, H, W) to tokens (n, L, D), pooled, grid.

    Rows without a real frame are left out. A batch without any shows empty ones to `module`, whose parameters must have a
    gradient of 0.
    """
    rows = valid.any(1).nonzero()[:, 0]
    if len(rows):
        tokens, pooled, grid = see(evenly(x[rows], valid[rows], steps))
    else:
        with running_statistics_kept([module]):  # two, as batch norm asks
            tokens, pooled, grid = see(x.new_zeros(2, x.shape[1], steps, *x.shape[3:]))
        tokens, pooled, rows = 0 * tokens[:1], 0 * pooled[:1], rows.new_zeros(1)
    every = tokens.new_zeros(len(x), tokens.shape[1], dim).index_copy(0, rows, tokens)
    whole = pooled.new_zeros(len(x), dim).index_copy(0, rows, pooled)
    return Features(every, whole, valid.any(1, keepdim=True).expand(-1, tokens.shape[1]), grid=grid)


def evenly(x: Tensor, valid: Tensor, steps: int) -> Tensor:
    """x (N, C, T, H, W) to `steps` of the real frames of each row, evenly spaced; those of a shorter clip several times.

    Of as many real frames all, in their order; a gap is left out. Every row has a real frame.
    """
    order = real_first(valid)
    middle = torch.arange(steps, device=x.device) * 2 + 1
    place = (middle * valid.sum(1, keepdim=True)).div(2 * steps, rounding_mode="floor")
    rows = torch.arange(len(x), device=x.device)[:, None]
    return x[rows, :, order.gather(1, place)].transpose(1, 2)


def inflate_first(module: nn.Module, stream: Stream, pretrained: list[str], rule: Rule, correlation: float) -> None:
    """Lay the kernels (O, P, t, h, w) of the first convolution, of P `pretrained` bands, for the bands of `stream`, in place."""
    conv = first_convolution(module)
    conv.weight = nn.Parameter(inflated(conv.weight.detach(), stream, pretrained, rule, correlation))
    conv.in_channels = stream.channels


def first_convolution(module: nn.Module) -> Any:
    """The convolution that reads the bands."""
    return next(m for m in module.modules() if isinstance(m, nn.Conv3d))


def inflated(kernels: Tensor, stream: Stream, pretrained: list[str], rule: Rule, correlation: float) -> Tensor:
    """`inflate` of kernels over time too, (O, P, t, h, w) to (O, C, t, h, w)."""
    out, bands, *rest = kernels.shape
    flat = inflate(kernels.reshape(out, bands, -1, rest[-1]), stream, pretrained, rule, correlation)
    return flat.view(out, -1, *rest)
