"""Silhouette score of every sample."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from multimodal_lab.metric.neighbours import Metric

_BUDGET = 2_000_000  # distances held at once: 16 MB whatever N is
_ROUNDING = 1e-6  # of a float32 vector, as a share of its length: what is nearer is one point


def silhouette(x: Tensor, labels: Tensor, metric: Metric = "cosine") -> float:
    """Mean silhouette of x (N, D) under labels (N,), -1 to 1; a sample alone in its class counts 0. Rousseeuw 1987.

    Two classes or more. NaN where all rows are one point but for rounding, as after a collapse: there is nothing to compare.
    The mean cosine distance to a class is that to the mean of its unit rows, O(N K D); Euclidean distances are taken in
    double precision, a few rows of the N x N at a time.
    """
    classes, index, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise ValueError(f"silhouette needs at least 2 classes, got {len(classes)}")
    x = x.double()
    if metric == "cosine":
        x = F.normalize(x, dim=1)
        sums = counts - x @ x.new_zeros(len(counts), x.shape[1]).index_add_(0, index, x).T
        to_self = 1 - x.square().sum(1)  # 0 but for a row of zeros, which is at distance 1 from all
    else:
        rows = torch.split(x, max(1, _BUDGET // len(x)))
        sums = torch.cat([_by_class(torch.cdist(r, x), index, len(counts)) for r in rows])
        to_self = torch.zeros_like(x[:, 0])
    own = counts[index]
    near = (sums.gather(1, index[:, None])[:, 0] - to_self) / (own - 1).clamp(min=1)
    other = (sums / counts).scatter(1, index[:, None], torch.inf).amin(1)
    least = _ROUNDING**2 / 2 if metric == "cosine" else _ROUNDING * float(x.norm(dim=1).max())
    near, other = (torch.where(d > least, d, 0) for d in (near, other))
    larger = torch.maximum(near, other)
    if not larger.any():
        return float("nan")
    score = (other - near) / torch.where(larger > 0, larger, 1)
    return float(torch.where(own > 1, score, 0).mean())


def _by_class(distance: Tensor, index: Tensor, classes: int) -> Tensor:
    return distance.new_zeros(len(distance), classes).index_add_(1, index, distance)
