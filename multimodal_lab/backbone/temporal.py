"""What backbones over time share: which steps are real, and means over these alone."""

from __future__ import annotations

from torch import Tensor, nn


def where_valid(x: Tensor, valid: Tensor) -> Tensor:
    """x (N, T, D) with zeros, NaN included, wherever valid (N, T) is False."""
    zero = x.new_zeros(())
    return zero.where(~valid[..., None], x)


def mask_of_groups(valid: Tensor, size: int) -> Tensor:
    """(N, T) to (N, ceil(T / size)): whether any of each `size` steps in a row is real."""
    short = -valid.shape[1] % size
    return nn.functional.pad(valid, (0, short)).view(len(valid), -1, size).any(2)


def pooled(tokens: Tensor, mask: Tensor) -> Tensor:
    """(N, L, D), zero outside mask (N, L), to the mean of the real tokens (N, D); 0 where there is none."""
    return tokens.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
