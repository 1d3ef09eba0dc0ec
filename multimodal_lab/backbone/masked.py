"""Masked tokens, of which some are not real: zeros there, and means over the others alone."""

from __future__ import annotations

import torch
from torch import Tensor


def where_valid(x: Tensor, valid: Tensor) -> Tensor:
    """x (N, L, D) with zeros, NaN included, wherever valid (N, L) is False."""
    zero = x.new_zeros(())
    return zero.where(~valid[..., None], x)


def pooled(tokens: Tensor, mask: Tensor) -> Tensor:
    """(N, L, D), zero outside mask (N, L), to the mean of the real tokens (N, D); 0 where there is none."""
    return tokens.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)


def largest(tokens: Tensor, mask: Tensor) -> Tensor:
    """(N, L, D) to the largest of the tokens in mask (N, L), per channel, (N, D); 0 where there is none."""
    lowest = tokens.masked_fill(~mask[..., None], torch.finfo(tokens.dtype).min).amax(1)
    return torch.where(mask.any(1, keepdim=True), lowest, tokens.new_zeros(()))


def real_first(mask: Tensor) -> Tensor:
    """mask (N, L) to places (N, L): those of the real tokens in their order, and behind them those of the others."""
    return (~mask).to(torch.uint8).argsort(dim=1, stable=True)
