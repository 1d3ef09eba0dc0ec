import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.retrieval import retrieval_average_precision, retrieval_hit_rate

from multimodal_lab.metric import counting, retrieval


def slow(scores, same):
    """Rank of the best positive, average precision and that at R per query, by sorting lists, negatives first among equals."""
    first, precision, at_r = [], [], []
    for row, hits in zip(scores.tolist(), same.tolist(), strict=True):
        if not any(hits):
            continue
        order = sorted(zip(row, hits, strict=True), key=lambda p: (-p[0], p[1]))
        places = [i + 1 for i, (_, hit) in enumerate(order) if hit]
        first.append(places[0])
        precision.append(sum((j + 1) / p for j, p in enumerate(places)) / len(places))
        # Musgrave et al. 2020, equation 2: the mean over i = 1 … R of the precision at i, 0 where the i-th is wrong
        r = len(places)
        hit = [hit for _, hit in order][:r]
        at_r.append(sum(sum(hit[: i + 1]) / (i + 1) for i in range(len(hit)) if hit[i]) / r)
    return first, precision, at_r


def same(ranked, slow):
    """Whether they are the scores of `slow`."""
    first, precision, at_r = slow
    return (
        ranked.first.tolist() == first
        and ranked.precision.tolist() == pytest.approx(precision, abs=1e-12)
        and ranked.at_r.tolist() == pytest.approx(at_r, abs=1e-12)
    )


def case(n, m, classes, seed, levels=None):
    g = torch.Generator().manual_seed(seed)
    a, b = torch.randn(n, 6, generator=g), torch.randn(m, 6, generator=g)
    if levels:  # small integers: inner products are exact, so that there are many true ties
        a, b = (a * levels).round(), (b * levels).round()
    return a, b, torch.randint(classes, (n,), generator=g), torch.randint(classes, (m,), generator=g)


@pytest.mark.parametrize("levels", [None, 1])
@pytest.mark.parametrize(("n", "m", "classes"), [(12, 30, 4), (40, 7, 9), (1, 1, 1), (25, 25, 60)])
def test_equals_sorting_lists(n, m, classes, levels):
    a, b, ia, ib = case(n, m, classes, n + m, levels)
    ranked = retrieval.rank(a, b, ia, ib)
    expected = slow(a @ b.T, ia[:, None] == ib[None])
    assert same(ranked, expected)
    assert ranked.without == n - len(expected[0])


def test_one_positive_each_takes_the_counting_path_and_agrees(monkeypatch):
    a, b, *_ = case(50, 50, 1, 3, levels=2)
    ids = torch.arange(50)
    expected = slow(a @ b.T, torch.eye(50, dtype=torch.bool))
    monkeypatch.setattr(retrieval, "_sorted", None)  # would raise if it sorted
    monkeypatch.setattr(counting, "_ROWS", 15)  # several tiles, the last ones short
    monkeypatch.setattr(counting, "_KEYS", 7)
    assert same(retrieval.rank(a, b, ids, ids), expected)


@pytest.mark.parametrize("share", [-1, 0, 1])  # a tile in double precision always, where any score is unsure, never
@pytest.mark.parametrize("above", [-1, 1])  # a pass for each of several bars, or one for the lowest
@pytest.mark.parametrize("few", [0, 32])
def test_any_way_of_ranking_equals_sorting_lists(share, few, above, monkeypatch):
    monkeypatch.setattr(counting, "_SHARE", share)
    monkeypatch.setattr(counting, "_ABOVE", above)
    monkeypatch.setattr(counting, "_ROWS", 16)
    monkeypatch.setattr(counting, "_KEYS", 24)
    monkeypatch.setattr(retrieval, "_FEW", few)
    monkeypatch.setattr(retrieval, "_BUDGET", 500)
    for levels, scale, classes in ((None, 1e-3, 20), (1, 1.0, 20), (None, 1e4, 90)):
        a, b, ia, ib = case(70, 101, classes, 5, levels)
        a, b = a * scale, b * scale
        a[3] = 0  # as near to one as to another
        hits = ia[:, None] == ib[None]
        expected = slow(a.double() @ b.double().T, hits), slow(b.double() @ a.double().T, hits.T)
        assert same(retrieval.rank(a, b, ia, ib), expected[0])
        there, back = retrieval.rank_both(a, b, ia, ib)
        assert same(there, expected[0])
        assert same(back, expected[1])


def test_scores_that_no_low_precision_tells_apart_are_ranked_exactly():
    """Keys one part in ten million apart: single precision alone ranks a third of them wrongly."""
    g = torch.Generator().manual_seed(0)
    base = torch.nn.functional.normalize(torch.randn(1, 64, generator=g).double(), dim=1)
    b = base + 1e-7 * torch.randn(300, 64, generator=g).double()
    a = base.expand(300, -1) + 0.1 * torch.randn(300, 64, generator=g).double()
    scores, ids = a @ b.T, torch.arange(300)
    expected = 1 + (scores > scores.diagonal()[:, None]).sum(1)
    assert (retrieval.rank(a, b, ids, ids).first == expected).all()
    single = a.float() @ b.float().T
    assert (1 + (single > single.diagonal()[:, None]).sum(1) != expected).float().mean() > 0.1


def test_a_margin_holds_where_torch_may_round_inputs(monkeypatch):
    a, b, *_ = case(200, 200, 1, 7)
    ids = torch.arange(200)
    expected = retrieval.rank(a, b, ids, ids).first
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")
    product = torch.mm
    rounded = lambda x, y, out: product(x.bfloat16().float(), y.bfloat16().float(), out=out)  # noqa: E731
    monkeypatch.setattr(torch, "mm", rounded)
    assert (retrieval.rank(a, b, ids, ids).first == expected).all()


def test_what_is_not_finite_has_no_rank():
    a = torch.ones(3, 2)
    for bad in (torch.nan, torch.inf):
        b = a.clone()
        b[1, 1] = bad
        with pytest.raises(ValueError, match="keys hold values that are not finite"):
            retrieval.rank(a, b, torch.arange(3), torch.arange(3))


@pytest.mark.parametrize("levels", [None, 1])
@pytest.mark.parametrize("few", [0, 32])
def test_given_pairs_equal_sorting_lists(levels, few, monkeypatch):
    """Any relation: a key may be of several queries, a query of no key, and a pair may be told twice."""
    monkeypatch.setattr(retrieval, "_FEW", few)
    a, b, *_ = case(20, 30, 1, 4, levels)
    g = torch.Generator().manual_seed(1)
    queries, keys = torch.randint(18, (50,), generator=g), torch.randint(30, (50,), generator=g)
    relevance = torch.zeros(20, 30, dtype=torch.bool)
    relevance[queries, keys] = True
    twice = torch.cat([queries, queries[:5]]), torch.cat([keys, keys[:5]])
    expected = slow(a.double() @ b.double().T, relevance)
    ranked = retrieval.rank_pairs(a, b, *twice)
    assert same(ranked, expected)
    assert ranked.without == 20 - len(expected[0]) >= 2
    there, back = retrieval.rank_pairs_both(a, b, *relevance.nonzero().unbind(1))
    assert same(there, expected)
    assert same(back, slow(b.double() @ a.double().T, relevance.T))
    assert back.without == int((~relevance.any(0)).sum()) > 0


def clip_benchmark(scores, positive, k):
    """CLIP_benchmark 1.6.2, metrics/zeroshot_retrieval.py (MIT): `recall_at_k`, and the mean of where it is above 0."""
    top = torch.nn.functional.one_hot(torch.topk(scores, k, dim=1)[1], num_classes=scores.shape[1])
    found = (top * positive.view(len(scores), 1, -1)).sum(dim=(1, 2)) / positive.sum(dim=1)
    return float((found > 0).float().mean())


def test_equals_clip_benchmark_both_ways_with_several_captions_an_image():
    g = torch.Generator().manual_seed(3)
    of = torch.cat([torch.arange(40), torch.randint(40, (150,), generator=g)]).sort().values  # the image of each text
    images = torch.nn.functional.normalize(torch.randn(40, 16, generator=g), dim=1)
    texts = torch.nn.functional.normalize(images[of] + 0.9 * torch.randn(190, 16, generator=g), dim=1)
    scores, positive = texts @ images.T, of[:, None] == torch.arange(40)
    found = retrieval.rank_pairs_both(texts, images, torch.arange(190), of)
    for ranked, own, hits in zip(found, (scores, scores.T), (positive, positive.T), strict=True):
        for k in (1, 5, 10):
            assert 0.1 < clip_benchmark(own, hits, k) < 1
            assert retrieval.recall_at(ranked, k) == pytest.approx(clip_benchmark(own, hits, k), abs=1e-6)


def test_equals_torchmetrics_on_positive_scores():
    a, b, ia, ib = case(20, 40, 5, 0)
    ranked = retrieval.rank(a, b, ia, ib)
    shifted = (a @ b.T) - (a @ b.T).min() + 1  # torchmetrics drops positives with a score <= 0
    hits = ia[:, None] == ib[None]
    rows = [i for i in range(20) if hits[i].any()]
    ap = np.mean([float(retrieval_average_precision(shifted[i], hits[i])) for i in rows])
    assert retrieval.mean_average_precision(ranked) == pytest.approx(ap, abs=1e-6)
    for k in (1, 5, 10):
        rate = np.mean([float(retrieval_hit_rate(shifted[i], hits[i], top_k=k)) for i in rows])
        assert retrieval.recall_at(ranked, k) == pytest.approx(rate, abs=1e-6)


def test_a_collapse_is_the_worst_rank_not_the_best():
    alike = torch.ones(8, 4)
    ranked = retrieval.rank(alike, alike, torch.arange(8), torch.arange(8))
    assert ranked.first.tolist() == [8] * 8
    assert retrieval.recall_at(ranked, 1) == 0


def test_mean_median_and_chance():
    ones = torch.ones(4).double()
    ranked = retrieval.Ranked(torch.tensor([1, 2, 5, 9]), ones, torch.tensor([1, 2, 3, 10]), ones / 2, 10, 0)
    assert (retrieval.median_rank(ranked), retrieval.mean_rank(ranked)) == (3.5, 4.25)
    assert retrieval.mean_average_precision_at_r(ranked) == 0.5
    expected = np.mean([1 - math.comb(10 - p, 3) / math.comb(10, 3) for p in (1, 2, 3, 10)])
    assert retrieval.chance_recall(ranked, 3) == pytest.approx(expected)
    assert retrieval.chance_recall(ranked, 50) == pytest.approx(1)


def test_where_nothing_belongs_together_every_query_is_without():
    a, b, *_ = case(4, 6, 1, 0)
    none = torch.zeros(0, dtype=torch.int64)
    for there, back in (
        retrieval.rank_both(a, b, torch.zeros(4), torch.ones(6)),
        retrieval.rank_pairs_both(a, b, none, none),
    ):
        assert (there.without, back.without, len(there.first), len(back.first)) == (4, 6, 0, 0)


def test_different_widths_are_refused():
    with pytest.raises(ValueError, match="width 3 and keys 4"):
        retrieval.rank(torch.ones(2, 3), torch.ones(2, 4), torch.arange(2), torch.arange(2))
