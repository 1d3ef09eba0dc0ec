"""What backbones over time share: which of their steps are real."""

from __future__ import annotations

from torch import Tensor, nn


def mask_of_groups(valid: Tensor, size: int) -> Tensor:
    """(N, T) to (N, ceil(T / size)): whether any of each `size` steps in a row is real."""
    short = -valid.shape[1] % size
    return nn.functional.pad(valid, (0, short)).view(len(valid), -1, size).any(2)
