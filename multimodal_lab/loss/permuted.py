"""Permutation-invariant losses: sources in the order that fits best."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import torch
from torch import Tensor


def best(lost: Callable[[Tensor, Tensor], Tensor], told: Tensor, true: Tensor, permute: bool) -> Tensor:
    """(N,) the mean loss over the S sources of each row, with `permute` in the order that loses least (Yu et al. 2017, PIT).

    told and true (N, S, …); lost: of both, as they stand, (N, S).
    """
    if not permute:
        return lost(told, true).mean(1)
    orders = permutations(range(true.shape[1]))
    return torch.stack([lost(told, true[:, list(order)]).mean(1) for order in orders]).amin(0)
