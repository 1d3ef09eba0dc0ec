"""Exact retrieval ranks by counting, for any number of queries, keys and positives."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from multimodal_lab.metric.counting import at_least, both_at_least, dots, slack

_QUERIES = 4096  # queries whose bars are held at once
_BUDGET = 2_000_000  # double-precision scores held at once where rows are sorted: 16 MB whatever N and M are
_BARS = 20_000_000  # thresholds held at once where both ways are counted: 160 MB, of which there are three
_FEW = 32  # positives from which a sort of the row is cheaper than a count each


@dataclass(frozen=True)
class Ranked:
    """What every retrieval score is made of, one entry a query that has a positive.

    first (Q,) int64: rank from 1 of the best positive; precision (Q,) float64: average precision; positives (Q,) int64, R;
    at_r (Q,) float64: average precision at R, of the first R keys alone; gallery: how many keys; without: how many queries had
    no positive and are left out of all of this.
    """

    first: Tensor
    precision: Tensor
    positives: Tensor
    at_r: Tensor
    gallery: int
    without: int


@dataclass(frozen=True)
class Positives:
    """Those of query i are `order[start_i : start_i + count_i]`, rows of the keys; start and count (Q,)."""

    order: Tensor
    start: Tensor
    count: Tensor

    @classmethod
    def of_ids(cls, queries: Tensor, keys: Tensor) -> Positives:
        """The keys of the query's id."""
        order = keys.argsort(stable=True)
        ids = keys[order]
        start, end = (torch.searchsorted(ids, queries, right=right) for right in (False, True))
        return cls(order, start, end - start)

    @classmethod
    def of_pairs(cls, queries: Tensor, keys: Tensor, count: int) -> Positives:
        """Those that `queries` (P,) and `keys` (P,) say, of `count` queries; a pair may be told twice."""
        wide = int(keys.max()) + 1 if len(keys) else 1
        pairs = torch.unique(queries * wide + keys)
        counts = torch.bincount(pairs // wide, minlength=count)
        return cls(pairs % wide, counts.cumsum(0) - counts, counts)

    def keys(self, rows: Tensor | slice = slice(None)) -> Tensor:
        """(R, P) rows of the keys, -1 where a query has fewer."""
        start, count = self.start[rows], self.count[rows]
        if not len(self.order):
            return torch.full((len(count), 1), -1, device=count.device)
        place = torch.arange(max(1, _most(count)), device=start.device)
        return torch.where(
            place < count[:, None], self.order[(start[:, None] + place).clamp(max=len(self.order) - 1)], -1
        )


def rank(a: Tensor, b: Tensor, ids_a: Tensor, ids_b: Tensor) -> Ranked:
    """Rank the rows of b for each row of a by inner product; positives are the keys whose id equals the query's.

    a (N, D), b (M, D), unit rows for cosine; ids_a (N,), ids_b (M,) integers, N and M may differ, a query may have many
    positives; all on one device. **Ties are counted against the model**: a negative that scores as high as a positive
    stands before it, so that collapsed embeddings get the worst rank and not the best. Ranks are those of
    double-precision products, equal within their rounding being a tie: the same on any device.
    Nothing N x M is held. Up to 32 positives a query cost a comparison per score and positive, at most; more
    cost a sort of the row. ValueError where widths differ or a value is not finite.
    """
    return _ranked(a, b, Positives.of_ids(ids_a, ids_b))


def rank_pairs(a: Tensor, b: Tensor, queries: Tensor, keys: Tensor) -> Ranked:
    """The same where pairs say what belongs together: queries (P,), rows of a, and keys (P,), rows of b.

    So an image is the positive of each of its captions, and a caption of every image that it stands beside. Of a relevance
    matrix (N, M) bool they are `relevance.nonzero().unbind(1)`.
    """
    return _ranked(a, b, Positives.of_pairs(queries, keys, len(a)))


def rank_both(a: Tensor, b: Tensor, ids_a: Tensor, ids_b: Tensor) -> tuple[Ranked, Ranked]:
    """`rank` of the rows of b for each of a, and of a for each of b; each product is taken once for both."""
    return _both(a, b, Positives.of_ids(ids_a, ids_b), Positives.of_ids(ids_b, ids_a))


def rank_pairs_both(a: Tensor, b: Tensor, queries: Tensor, keys: Tensor) -> tuple[Ranked, Ranked]:
    """`rank_pairs` both ways; each product is taken once."""
    return _both(a, b, Positives.of_pairs(queries, keys, len(a)), Positives.of_pairs(keys, queries, len(b)))


def _both(a: Tensor, b: Tensor, of_a: Positives, of_b: Positives) -> tuple[Ranked, Ranked]:
    many = [_most(own.count) for own in (of_a, of_b)]
    if max(many) > _FEW or len(a) * many[0] + len(b) * many[1] > _BARS:
        return _ranked(a, b, of_a), _ranked(b, a, of_b)
    _require(a, b)
    keys = of_a.keys()
    above = both_at_least(a, b, _bars(a, b, keys), _bars(b, a, of_b.keys()), keys)
    return _told(above[0], of_a, len(b)), _told(above[1], of_b, len(a))


def _require(a: Tensor, b: Tensor) -> None:
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"queries have width {a.shape[1]} and keys {b.shape[1]}: retrieval needs one space")
    for name, x in (("queries", a), ("keys", b)):
        if x.numel() and not torch.isfinite(torch.stack(x.aminmax())).all():
            raise ValueError(f"{name} hold values that are not finite: they have no rank")


def _ranked(a: Tensor, b: Tensor, of: Positives) -> Ranked:
    """One way, queries of as many positives side by side."""
    _require(a, b)
    first, precision, at_r = torch.zeros_like(of.count), of.count.double(), of.count.double()
    queries = of.count.argsort(stable=True)[int((of.count == 0).sum()) :]
    few = of.count[queries] <= _FEW
    for part in torch.split(queries[few], _QUERIES) if few.any() else ():
        keys = of.keys(part)
        above = at_least(a[part], b, _bars(a[part], b, keys), keys)
        first[part], precision[part], at_r[part] = _scored(above, of.count[part])
    for part in torch.split(queries[~few], max(1, _BUDGET // len(b))) if not few.all() else ():
        above = _sorted(a[part], b, of.keys(part))
        first[part], precision[part], at_r[part] = _scored(above, of.count[part])
    found = of.count > 0
    return Ranked(first[found], precision[found], of.count[found], at_r[found], len(b), int((~found).sum()))


def _told(above: Tensor, of: Positives, gallery: int) -> Ranked:
    found = of.count > 0
    first, precision, at_r = _scored(above[found], of.count[found])
    return Ranked(first, precision, of.count[found], at_r, gallery, int((~found).sum()))


def _most(count: Tensor) -> int:
    return int(count.max()) if len(count) else 0


def _bars(a: Tensor, b: Tensor, keys: Tensor) -> Tensor:
    """What a negative must reach to stand before each positive (R, P), the best first; infinite where there is none."""
    real = keys >= 0
    scores = torch.full(keys.shape, -torch.inf, dtype=torch.float64, device=a.device)
    scores[real] = dots(a, b, real.nonzero()[:, 0], keys[real])
    scores = scores.sort(1, descending=True).values
    # lower by the rounding, so that a negative equal to the positive counts as before it: a tie is a loss
    return torch.where(scores > -torch.inf, scores - slack(a, b), torch.inf)


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


def _scored(above: Tensor, positives: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rank of the best positive, average precision and that at R (R,) from the negatives before each positive (R, P)."""
    order = torch.arange(1, above.shape[1] + 1, device=above.device)
    ranks, real = order + above, order <= positives[:, None]
    precision = torch.where(real, order / ranks.double(), 0)
    at_r = torch.where(ranks <= positives[:, None], precision, 0)
    return ranks[:, 0], precision.sum(1) / positives, at_r.sum(1) / positives


def recall_at(ranked: Ranked, k: int) -> float:
    """R@K of the papers: the share of queries with any positive among the first k keys."""
    return float((ranked.first <= k).double().mean())


def mean_average_precision(ranked: Ranked) -> float:
    """Mean over queries of the mean precision at each positive's rank; with one positive, the mean reciprocal rank."""
    return float(ranked.precision.mean())


def mean_average_precision_at_r(ranked: Ranked) -> float:
    """mAP@R (Musgrave et al. 2020, section 3.2): of each query with R positives, the first R keys alone count."""
    return float(ranked.at_r.mean())


def mean_rank(ranked: Ranked) -> float:
    """Mean over queries of the rank of the best positive, 1 is best."""
    return float(ranked.first.double().mean())


def median_rank(ranked: Ranked) -> float:
    """Median over queries of the rank of the best positive, 1 is best."""
    return float(ranked.first.double().quantile(0.5))


def chance_recall(ranked: Ranked, k: int) -> float:
    """R@K of a random order: mean over queries of 1 - C(M - P, k) / C(M, k)."""
    keys, miss = ranked.gallery, torch.ones_like(ranked.precision)
    for i in range(min(k, keys)):
        miss = miss * ((keys - ranked.positives - i).clamp(min=0) / (keys - i))
    return float((1 - miss).mean())
