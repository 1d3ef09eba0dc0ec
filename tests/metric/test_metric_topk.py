import pytest
import torch

from multimodal_lab.metric import topk as module
from multimodal_lab.metric.topk import topk


def slow(queries, keys, k):
    """Sorted lists of (score, row), the lower row first among equals."""
    found = []
    for query in queries.tolist():
        scores = [sum(x * y for x, y in zip(query, key, strict=True)) for key in keys.tolist()]
        found.append(sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:k])
    return found


@pytest.mark.parametrize(("rows", "wide"), [(512, 2048), (3, 5), (4, 1)])
@pytest.mark.parametrize(("n", "m", "k"), [(7, 23, 4), (1, 3, 9), (5, 40, 1)])
def test_equals_sorting_lists_with_many_ties_whatever_the_tiles(n, m, k, rows, wide, monkeypatch):
    monkeypatch.setattr(module, "_ROWS", rows)
    monkeypatch.setattr(module, "_KEYS", wide)
    g = torch.Generator().manual_seed(n + m)
    queries, keys = (torch.randint(-2, 3, (size, 4), generator=g).float() for size in (n, m))
    scores, found = topk(queries, keys, k)
    assert found.tolist() == slow(queries, keys, k)
    assert torch.equal(scores, (queries @ keys.T).gather(1, found))


def test_real_numbers_equal_torch():
    g = torch.Generator().manual_seed(0)
    queries, keys = torch.randn(30, 16, generator=g), torch.randn(5000, 16, generator=g)
    scores, found = topk(queries, keys, 10)
    expected = (queries @ keys.T).topk(10, dim=1)
    assert torch.equal(found, expected.indices)
    torch.testing.assert_close(scores, expected.values)


def test_what_can_not_be_searched_is_one_sentence():
    with pytest.raises(ValueError, match="queries have width 3 and keys 4"):
        topk(torch.ones(1, 3), torch.ones(1, 4), 1)
    with pytest.raises(ValueError, match="k=0: expected a whole number from 1"):
        topk(torch.ones(1, 3), torch.ones(1, 3), 0)
    assert topk(torch.ones(2, 3), torch.ones(0, 3), 5)[1].shape == (2, 0)
