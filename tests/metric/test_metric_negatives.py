import pytest
import torch

from multimodal_lab.metric.negatives import hardest
from multimodal_lab.metric.retrieval import Positives


def slow(a, b, positive, k, alike=1e-5):
    """Sorted lists of the keys that are no positive and do not equal one."""
    found = []
    for i, query in enumerate(a):
        own = [j for j in range(len(b)) if positive[i, j]]
        left = [j for j in range(len(b)) if j not in own and all(float(b[j] @ b[p]) <= 1 - alike for p in own)]
        left = sorted(left, key=lambda j: -float(query @ b[j]))[:k]
        found.append(left + [-1] * (k - len(left)))
    return found


@pytest.mark.parametrize(("n", "m", "k"), [(30, 40, 5), (4, 6, 9)])
def test_equals_sorting_lists_without_positives_and_what_equals_them(n, m, k):
    g = torch.Generator().manual_seed(n)
    a, b = (torch.nn.functional.normalize(torch.randn(size, 6, generator=g), dim=1) for size in (n, m))
    positive = torch.rand(n, m, generator=g) < 0.1
    positive[0] = False  # a query without a positive has negatives all the same
    b[m - 1] = torch.nn.functional.normalize(b[0] + 1e-4 * b[1], dim=0)  # the same thing under another name
    positive[1, 0], positive[1, m - 1] = True, False
    scores, rows = hardest(a, b, Positives.of_pairs(*positive.nonzero().unbind(1), n), k)
    assert rows.tolist() == slow(a, b, positive, k)
    assert m - 1 not in rows[1].tolist()
    there = rows >= 0
    torch.testing.assert_close(scores[there], (a @ b.T).gather(1, rows.clamp(min=0))[there])
    assert (scores[~there] == -torch.inf).all()
