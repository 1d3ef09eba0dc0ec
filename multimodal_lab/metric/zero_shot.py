"""Zero-shot classification: the vectors of prompts become those of classes, and the nearest one is the answer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def class_vectors(x: Tensor, owner: Tensor, count: int) -> Tensor:
    """(K, D) of unit length: the mean of the unit vectors of each class's prompts (Radford 2021, sec. 3.1.4).

    x (T, D) of the prompts; owner (T,) int64, the class below `count` that each is of; every class has one at least.
    """
    unit = F.normalize(x, dim=1)
    total = torch.zeros(count, x.shape[1], dtype=x.dtype, device=x.device).index_add_(0, owner, unit)
    return F.normalize(total / torch.bincount(owner, minlength=count)[:, None].to(x.dtype), dim=1)


def cosines(x: Tensor, classes: Tensor) -> Tensor:
    """(N, K) of samples (N, D) with classes (K, D), which are of unit length."""
    return F.normalize(x, dim=1) @ classes.T


def top_accuracy(z: Tensor, truth: Tensor, k: int) -> float:
    """The share of rows of z (N, K) whose truth (N,) is among the `k` largest; of fewer classes, all."""
    best = z.topk(min(k, z.shape[1]), dim=1).indices
    return float((best == truth[:, None]).any(1).double().mean())
