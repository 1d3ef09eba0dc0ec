"""Exact retrieval ranks by counting, any number of queries, keys and positives."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_BUDGET = 4_000_000  # scores held at once: 16 MB in fp32 whatever N and M are


@dataclass(frozen=True)
class Ranked:
    """What every retrieval score is made of, one entry a query that has a positive.

    first (Q,) int64: rank from 1 of the best positive; precision (Q,) float64: average precision; positives (Q,) int64;
    gallery: how many keys; without: how many queries had no positive and are left out of all of this.
    """

    first: Tensor
    precision: Tensor
    positives: Tensor
    gallery: int
    without: int


def rank(a: Tensor, b: Tensor, ids_a: Tensor, ids_b: Tensor) -> Ranked:
    """Rank the rows of b for each row of a by inner product; positives are the keys whose id equals the query's.

    a (N, D), b (M, D), unit rows for cosine; ids_a (N,), ids_b (M,) integers, N and M may differ, a query may have many
    positives. **Ties are counted against the model**: a negative that scores as high as a positive stands before it, so
    that collapsed embeddings get the worst rank and not the best. One positive per query costs a comparison per score;
    more cost a sort of the row.
    """
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"queries have width {a.shape[1]} and keys {b.shape[1]}: retrieval needs one space")
    step = max(1, _BUDGET // max(1, len(b)))
    parts = [_rank_rows(a[i : i + step] @ b.T, ids_a[i : i + step], ids_b) for i in range(0, len(a), step)]
    if not parts:
        none = torch.zeros(0, dtype=torch.int64)
        return Ranked(none, none.double(), none, len(b), 0)
    first, precision, positives = (torch.cat(column) for column in zip(*parts, strict=True))
    some = positives > 0
    return Ranked(first[some], precision[some], positives[some], len(b), int((~some).sum()))


def _rank_rows(scores: Tensor, ids_a: Tensor, ids_b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    same = ids_a[:, None] == ids_b[None]
    positives = same.sum(1)
    if int(positives.max()) > 1:
        return *_many(scores, same, positives), positives
    best = scores.masked_fill(~same, -torch.inf).amax(1, keepdim=True)
    first = (scores >= best).sum(1)
    return first, 1 / first.double(), positives


def _many(scores: Tensor, same: Tensor, positives: Tensor) -> tuple[Tensor, Tensor]:
    negative = scores.masked_fill(same, -torch.inf).sort(1).values
    positive = scores.masked_fill(~same, -torch.inf).topk(int(positives.max()), 1).values
    above = scores.shape[1] - torch.searchsorted(negative, positive.contiguous())
    order = torch.arange(1, positive.shape[1] + 1, device=scores.device)
    ranks = order + above
    real = order <= positives[:, None]
    precision = torch.where(real, order / ranks.double(), 0).sum(1) / positives.clamp(min=1)
    return ranks[:, 0], precision


def recall_at(ranked: Ranked, k: int) -> float:
    """R@K of the papers: the share of queries with any positive among the first k keys."""
    return float((ranked.first <= k).double().mean())


def mean_average_precision(ranked: Ranked) -> float:
    """Mean over queries of the mean precision at each positive's rank; with one positive, the mean reciprocal rank."""
    return float(ranked.precision.mean())


def median_rank(ranked: Ranked) -> float:
    """Median over queries of the rank of the best positive, 1 is best."""
    return float(ranked.first.double().quantile(0.5))


def chance_recall(ranked: Ranked, k: int) -> float:
    """R@K of a random order: mean over queries of 1 - C(M - P, k) / C(M, k)."""
    keys, miss = ranked.gallery, torch.ones_like(ranked.precision)
    for i in range(min(k, keys)):
        miss = miss * ((keys - ranked.positives - i).clamp(min=0) / (keys - i))
    return float((1 - miss).mean())
