"""Exact retrieval ranks by counting, for any number of queries, keys and positives."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from multimodal_lab.metric.counting import at_least, dots, slack

_QUERIES = 4096  # queries whose bars are held at once
_BUDGET = 2_000_000  # double-precision scores held at once where rows are sorted: 16 MB whatever N and M are
_FEW = 32  # positives from which a sort of the row is cheaper than a count each


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
    positives; all on one device. **Ties are counted against the model**: a negative that scores as high as a positive
    stands before it, so that collapsed embeddings get the worst rank and not the best. Ranks are those of
    double-precision products, equal within their rounding being a tie: the same on any device.
    Nothing N x M is held. Up to 32 positives a query cost a comparison per score and positive; more
    cost a sort of the row. ValueError where widths differ or a value is not finite.
    """
    order = ids_b.argsort()
    ids = ids_b[order]
    start, end = (torch.searchsorted(ids, ids_a, right=right) for right in (False, True))
    return _ranked(a, b, order, start, end - start)


def rank_pairs(a: Tensor, b: Tensor, queries: Tensor, keys: Tensor) -> Ranked:
    """The same where pairs say what belongs together: queries (P,), rows of a, and keys (P,), rows of b.

    So an image is the positive of each of its captions, and a caption of every image that it stands beside.
    """
    queries, order = torch.unique(torch.stack([queries, keys]), dim=1)
    positives = torch.bincount(queries, minlength=len(a))
    return _ranked(a, b, order, positives.cumsum(0) - positives, positives)


def _ranked(a: Tensor, b: Tensor, order: Tensor, start: Tensor, positives: Tensor) -> Ranked:
    """The positives of query i are `order[start_i : start_i + positives_i]`, rows of b."""
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"queries have width {a.shape[1]} and keys {b.shape[1]}: retrieval needs one space")
    for name, x in (("queries", a), ("keys", b)):
        if x.numel() and not torch.isfinite(torch.stack(x.aminmax())).all():
            raise ValueError(f"{name} hold values that are not finite: they have no rank")
    first, precision = torch.zeros_like(positives), positives.double()
    queries = positives.argsort(stable=True)[int((positives == 0).sum()) :]  # those of as many positives side by side
    few = positives[queries] <= _FEW
    for part in torch.split(queries[few], _QUERIES) if few.any() else ():
        above = _counted(a[part], b, _keys(order, start[part], positives[part]))
        first[part], precision[part] = _scored(above, positives[part])
    for part in torch.split(queries[~few], max(1, _BUDGET // len(b))) if not few.all() else ():
        above = _sorted(a[part], b, _keys(order, start[part], positives[part]))
        first[part], precision[part] = _scored(above, positives[part])
    found = positives > 0
    return Ranked(first[found], precision[found], positives[found], len(b), int((~found).sum()))


def _keys(order: Tensor, start: Tensor, positives: Tensor) -> Tensor:
    """The positives of each query, (R, P) rows of the keys, -1 where it has fewer."""
    place = torch.arange(int(positives.max()), device=order.device)
    return torch.where(place < positives[:, None], order[(start[:, None] + place).clamp(max=len(order) - 1)], -1)


def _counted(a: Tensor, b: Tensor, keys: Tensor) -> Tensor:
    """How many negatives stand before each positive (R, P), the best positive first."""
    real = keys >= 0
    scores = torch.full(keys.shape, -torch.inf, dtype=torch.float64, device=a.device)
    scores[real] = dots(a, b, real.nonzero()[:, 0], keys[real])
    scores = scores.sort(1, descending=True).values
    # lower by the rounding, so that a negative equal to the positive counts as before it: a tie is a loss
    bars = torch.where(scores > -torch.inf, scores - slack(a, b), torch.inf)
    return at_least(a, b, bars, keys)


def _sorted(a: Tensor, b: Tensor, keys: Tensor) -> Tensor:
    """The same by sorting the negatives of each query, for any number of positives."""
    scores = torch.cat([a.double() @ part.double().T for part in torch.split(b, _QUERIES)], 1)
    rows, column = (keys >= 0).nonzero().unbind(1)
    best = torch.full(keys.shape, -torch.inf, dtype=torch.float64, device=a.device)
    best[rows, column] = scores[rows, keys[rows, column]]
    scores[rows, keys[rows, column]] = -torch.inf
    if scores.is_cuda:
        scores = scores.sort(1).values
    else:
        scores.numpy().sort(axis=1)  # several times faster than torch's, which sorts indices along
    best = best.sort(1, descending=True).values
    return len(b) - torch.searchsorted(scores, best - slack(a, b))


def _scored(above: Tensor, positives: Tensor) -> tuple[Tensor, Tensor]:
    """Rank of the best positive and average precision (R,) from the negatives before each positive (R, P)."""
    order = torch.arange(1, above.shape[1] + 1, device=above.device)
    ranks = order + above
    precision = torch.where(order <= positives[:, None], order / ranks.double(), 0).sum(1) / positives
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
