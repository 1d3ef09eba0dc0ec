"""Exact k nearest neighbours, their majority vote, and nearest class centroids."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Metric = Literal["cosine", "euclidean"]
_ROWS, _KEYS = 512, 8192  # a tile of 16 MB in fp32 whatever N and M are
_WIDE = 16  # times as many rows on an accelerator: what fills it
_DIFFERENCES = 1 << 20


def top_k(
    queries: Tensor, keys: Tensor, k: int, metric: Metric = "cosine", unit: bool = False
) -> tuple[Tensor, Tensor]:
    """The k nearest rows of keys (M, D) for each query (N, D): closeness (N, k), descending, and indices (N, k) int64.

    Closeness is the cosine in [-1, 1] or minus the Euclidean distance, taken again from the differences for the k that
    were found. k <= M. Which of several equally near keys are among the k is not specified. Nothing N x M is held. unit: rows
    have unit length already; no copy of them is made.
    """
    if not 1 <= k <= len(keys):
        raise ValueError(f"k is {k}, expected 1 to {len(keys)}, the number of keys")
    if metric == "cosine":
        if not unit:
            queries, keys = F.normalize(queries, dim=1), F.normalize(keys, dim=1)
        shift = None
    else:
        centre = keys.mean(0)  # distances stay, and squares lose fewer digits
        queries, keys = queries - centre, keys - centre
        shift = torch.linalg.vector_norm(keys, dim=1).square() / -2
    width = -(-len(keys) // -(-len(keys) // _KEYS))  # tiles as wide as each other
    height = _ROWS if queries.is_cpu else _WIDE * _ROWS
    tile = _Tile(queries, min(height, len(queries)), width, k)
    found = [_nearest(rows, keys, shift, k, tile) for rows in torch.split(queries, height) if len(rows)]
    if not found:
        return queries.new_zeros(0, k), torch.zeros(0, k, dtype=torch.int64, device=queries.device)
    closeness, index = (torch.cat(column) for column in zip(*found, strict=True))
    return (closeness, index) if shift is None else _by_distance(queries, keys, index)


def _nearest(rows: Tensor, keys: Tensor, shift: Tensor | None, k: int, tile: _Tile) -> tuple[Tensor, Tensor]:
    parts = []
    for i in range(0, len(keys), tile.keys):
        some = keys[i : i + tile.keys]
        values, index = tile.top(rows, some, None if shift is None else shift[i : i + tile.keys], min(k, len(some)))
        parts.append((values, index + i))
    if len(parts) == 1:
        return parts[0]
    values, index = (torch.cat(column, 1) for column in zip(*parts, strict=True))
    values, order = values.topk(k, 1)
    return values, index.gather(1, order)


class _Tile:
    """Scores of some rows and keys, in memory that is kept: fresh pages would cost a fifth of the product."""

    def __init__(self, queries: Tensor, rows: int, keys: int, k: int) -> None:
        self.keys, self.groups = keys, max(64, 8 * k)
        self.size = 4 * -(-keys // (4 * self.groups))
        self.scores = queries.new_empty(rows, self.groups * self.size)
        self.used = -1

    def top(self, rows: Tensor, keys: Tensor, shift: Tensor | None, k: int) -> tuple[Tensor, Tensor]:
        """The k best of rows (R, D) times keys (C, D), values and columns (R, k).

        They are in the k groups of columns with the best maxima, and a maximum costs a tenth of a search.
        """
        scores = self.scores[: len(rows), : len(keys)]
        if shift is None:
            torch.mm(rows, keys.T, out=scores)
        else:
            torch.addmm(shift, rows, keys.T, out=scores)
        if self.size < 16:
            best = scores.topk(k, 1)
            return best.values, best.indices
        if len(keys) != self.used:
            self.scores[:, len(keys) :] = -torch.inf
            self.used = len(keys)
        whole = self.scores[: len(rows)]
        columns = _narrowed(whole, self.size, k)
        near = whole.gather(1, columns)
        place = _narrowed(near, 4, k)
        best = near.gather(1, place).topk(k, 1)
        return best.values, columns.gather(1, place.gather(1, best.indices))


def _narrowed(scores: Tensor, size: int, k: int) -> Tensor:
    """Columns (R, k size) of scores (R, C) among which the k best are: those of the k groups with the best maxima."""
    groups = scores.shape[1] // size
    chosen = scores.view(-1, size, groups).amax(1).topk(k, 1, sorted=False).indices
    return (chosen[:, None] + torch.arange(size, device=scores.device)[:, None] * groups).flatten(1)


def _by_distance(queries: Tensor, keys: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    step = max(1, _DIFFERENCES // (index.shape[1] * keys.shape[1]))
    near = zip(torch.split(queries, step), torch.split(index, step), strict=True)
    distance = torch.cat([torch.linalg.vector_norm(q[:, None] - keys[i], dim=2) for q, i in near])
    distance, order = distance.sort(dim=1, stable=True)
    return -distance, index.gather(1, order)


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
