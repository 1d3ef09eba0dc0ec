"""Exact nearest neighbours, their vote, and nearest class centroids."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Metric = Literal["cosine", "euclidean"]
_BUDGET = 4_000_000


def top_k(queries: Tensor, keys: Tensor, k: int, metric: Metric = "cosine") -> tuple[Tensor, Tensor]:
    """The k nearest rows of keys (M, D) for each query (N, D): closeness (N, k), descending, and indices (N, k) int64.

    Closeness is the cosine in [-1, 1] or minus the Euclidean distance. k <= M.
    """
    if not 1 <= k <= len(keys):
        raise ValueError(f"k is {k}, expected 1 to {len(keys)}, the number of keys")
    if metric == "cosine":
        queries, keys = F.normalize(queries, dim=1), F.normalize(keys, dim=1)
    step = max(1, _BUDGET // len(keys))
    found = [_closeness(queries[i : i + step], keys, metric).topk(k, 1) for i in range(0, len(queries), step)]
    if not found:
        return queries.new_zeros(0, k), torch.zeros(0, k, dtype=torch.int64)
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])


def _closeness(queries: Tensor, keys: Tensor, metric: Metric) -> Tensor:
    return queries @ keys.T if metric == "cosine" else -torch.cdist(queries, keys)


def vote(closeness: Tensor, labels: Tensor, classes: int) -> Tensor:
    """The class (N,) most neighbours have, from labels (N, k); of equally many, the class of the closer neighbours.

    closeness (N, k), larger is closer: it only breaks ties, by weights that sum to less than one vote.
    """
    span = closeness[:, :1] - closeness
    weight = 1 + 0.5 / labels.shape[1] / (1 + span)
    votes = closeness.new_zeros(len(labels), classes).scatter_add_(1, labels, weight)
    return votes.argmax(1)


def centroids(x: Tensor, labels: Tensor, metric: Metric = "cosine") -> tuple[Tensor, Tensor]:
    """Mean of x (N, D) per class that occurs in labels (N,): (K, D) and the classes (K,); of unit rows for cosine."""
    if metric == "cosine":
        x = F.normalize(x, dim=1)
    classes, index = torch.unique(labels, return_inverse=True)
    counts = torch.bincount(index, minlength=len(classes))
    sums = x.new_zeros(len(classes), x.shape[1]).index_add_(0, index, x)
    return sums / counts[:, None], classes
