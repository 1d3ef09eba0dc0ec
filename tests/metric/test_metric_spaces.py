"""RankMe, alignment, uniformity, RSA and variance explained against slow loops of their papers."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import f_oneway, spearmanr
from sklearn.metrics import silhouette_score

from multimodal_lab.metric.hypersphere import alignment, uniformity
from multimodal_lab.metric.silhouette import silhouette
from multimodal_lab.metric.similarity import cosine, rsa
from multimodal_lab.metric.spectrum import rankme
from multimodal_lab.metric.variance import explained

RNG = np.random.default_rng(0)


def unit(row):
    return [v / math.sqrt(sum(w * w for w in row)) for v in row]


def test_rankme_is_the_entropy_of_singular_values():
    z = RNG.normal(size=(30, 6))
    sigma = [math.sqrt(max(v, 0)) for v in np.linalg.eigvalsh(z.T @ z)]
    p = [s / sum(sigma) + 1e-7 for s in sigma]
    assert rankme(torch.tensor(z)) == pytest.approx(math.exp(-sum(v * math.log(v) for v in p)), rel=1e-9)


def test_rankme_of_known_spectra():
    assert rankme(torch.eye(5)) == pytest.approx(5, rel=1e-4)
    assert rankme(torch.ones(9, 4)) == pytest.approx(1, abs=1e-4)
    assert math.isfinite(rankme(torch.zeros(3, 3)))


def test_alignment_and_uniformity_equal_loops():
    x, y = RNG.normal(size=(9, 4)), RNG.normal(size=(9, 4))
    u, v = [unit(r) for r in x.tolist()], [unit(r) for r in y.tolist()]
    d2 = [[sum((a - b) ** 2 for a, b in zip(p, q, strict=True)) for q in u] for p in u]
    near = [sum((a - b) ** 2 for a, b in zip(p, q, strict=True)) for p, q in zip(u, v, strict=True)]
    spread = [math.exp(-2 * d2[i][j]) for i in range(9) for j in range(9) if i != j]
    assert alignment(torch.tensor(x), torch.tensor(y)) == pytest.approx(sum(near) / 9, rel=1e-12)
    assert alignment(torch.tensor(x), torch.tensor(y), 1) == pytest.approx(sum(map(math.sqrt, near)) / 9, rel=1e-12)
    assert uniformity(torch.tensor(x)) == pytest.approx(math.log(sum(spread) / len(spread)), rel=1e-9)
    with pytest.raises(ValueError, match="at least 2"):
        uniformity(torch.ones(1, 3))


def test_uniformity_of_a_collapse_is_zero_and_chunks_agree(monkeypatch):
    assert uniformity(torch.ones(5, 3)) == pytest.approx(0, abs=1e-12)
    x = torch.tensor(RNG.normal(size=(20, 5)))
    whole = uniformity(x)
    monkeypatch.setattr("multimodal_lab.metric.hypersphere._ROWS", 7)
    assert uniformity(x) == pytest.approx(whole, rel=1e-12)


def test_rsa_is_scipys_spearman_of_upper_triangles():
    x, y = RNG.normal(size=(15, 4)), RNG.normal(size=(15, 7))
    upper = np.triu_indices(15, 1)
    assert rsa(x, y)[0] == pytest.approx(spearmanr(cosine(x)[upper], cosine(y)[upper]).statistic, abs=1e-9)
    assert rsa(x, x)[0] == pytest.approx(1)
    assert math.isnan(rsa(x, np.ones((15, 2)))[0])


def test_rsa_permutation_p_equals_a_loop_and_tells_effect_from_none():
    x = RNG.normal(size=(12, 3))
    y = x @ RNG.normal(size=(3, 5)) + RNG.normal(size=(12, 5))
    found, p = rsa(x, y, permutations=50, seed=4)
    draw = np.random.default_rng(4)
    as_good = 0
    for _ in range(50):
        as_good += rsa(x, y[draw.permutation(12)])[0] >= found - 1e-12
    assert p == pytest.approx((1 + as_good) / 51)
    assert rsa(x, x, 99)[1] == pytest.approx(0.01)
    ps = [rsa(RNG.normal(size=(12, 3)), RNG.normal(size=(12, 3)), 39, s)[1] for s in range(60)]
    assert 0.35 < np.mean(ps) < 0.65


def test_variance_explained_equals_a_loop_and_anova():
    x, y = RNG.normal(size=(30, 3)), RNG.integers(0, 4, 30)
    total = ((x - x.mean(0)) ** 2).sum()
    within = sum(((row - x[y == c].mean(0)) ** 2).sum() for row, c in zip(x, y, strict=True))
    assert explained(x, y) == pytest.approx(1 - within / total, rel=1e-12)
    f = f_oneway(*(x[y == c, 0] for c in np.unique(y))).statistic
    k = len(np.unique(y))
    assert explained(x[:, :1], y) == pytest.approx(f * (k - 1) / (f * (k - 1) + 30 - k), rel=1e-9)
    assert math.isnan(explained(np.ones((4, 2)), np.array([0, 0, 1, 1])))


def test_variance_expected_without_effect():
    values = [explained(RNG.normal(size=(40, 5)), np.arange(40) % 5) for _ in range(200)]
    assert np.mean(values) == pytest.approx(4 / 39, abs=0.01)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_silhouette_is_sklearns(metric, monkeypatch):
    monkeypatch.setattr("multimodal_lab.metric.silhouette._BUDGET", 300)
    x, y = RNG.normal(size=(61, 5)), RNG.choice([0, 2, 5], 61)
    y[7] = 9  # alone in its class
    x[3], x[4] = 0, x[5]
    expected = silhouette_score(x, y, metric=metric)
    assert silhouette(torch.tensor(x), torch.tensor(y), metric) == pytest.approx(expected, abs=1e-9)
    apart = torch.tensor([[1.0, 0.0], [1, 0], [0, 1], [0, 1]])
    assert silhouette(apart, torch.tensor([0, 0, 1, 1]), metric) == pytest.approx(1)
    collapsed = torch.tensor(RNG.normal(size=5) + 1e-8 * RNG.normal(size=(61, 5)), dtype=torch.float32)
    assert math.isnan(silhouette(collapsed, torch.tensor(y), metric))  # unrounded, a ratio of two rounding errors
    assert math.isnan(silhouette(torch.ones(4, 2), torch.tensor([0, 0, 1, 1]), metric))
    with pytest.raises(ValueError, match="at least 2 classes, got 1"):
        silhouette(apart, torch.zeros(4), metric)
