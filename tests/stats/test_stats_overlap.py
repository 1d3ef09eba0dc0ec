import dataclasses

import numpy as np
import pytest
from skbio import DistanceMatrix
from skbio.stats.distance import mantel
from sklearn.cross_decomposition import CCA
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import NearestNeighbors

from multimodal_lab.metric.similarity import cosine, rsa
from multimodal_lab.stats import cka
from multimodal_lab.stats.cca import cca, mean_cca, pwcca, svcca
from multimodal_lab.stats.overlap import measures, overlap
from multimodal_lab.stats.resample import resampled
from multimodal_lab.stats.sphere import alignment, modality_gap, mutual_knn, uniformity


def spaces(n=40, d=5, e=7, share=1.0, seed=0):
    draw = np.random.default_rng(seed)
    z = draw.normal(size=(n, 3))
    x = z @ draw.normal(size=(3, d)) * share + draw.normal(size=(n, d))
    y = z @ draw.normal(size=(3, e)) * share + draw.normal(size=(n, e))
    return x, y


def test_unbiased_hsic_is_the_sum_over_all_distinct_fours():
    """Song et al. 2012: the mean over distinct i, j, q, r of k_ij l_ij + k_ij l_qr - 2 k_ij l_iq."""
    x, y = spaces(7)
    k, m = cka.linear(x), cka.linear(y)
    fours = [
        k[i, j] * m[i, j] + k[i, j] * m[q, r] - 2 * k[i, j] * m[i, q]
        for i in range(7) for j in range(7) for q in range(7) for r in range(7) if len({i, j, q, r}) == 4
    ]  # fmt: skip
    assert cka.hsic(k, m) == pytest.approx(np.mean(fours), abs=1e-9)
    with pytest.raises(ValueError, match="at least 4"):
        cka.hsic(k[:3, :3], m[:3, :3])


def test_biased_linear_cka_is_the_feature_formula_of_the_paper():
    x, y = spaces()
    x, y = x - x.mean(0), y - y.mean(0)
    norm = np.linalg.norm
    known = norm(y.T @ x) ** 2 / (norm(x.T @ x) * norm(y.T @ y))
    assert cka.alignment(cka.linear(x), cka.linear(y), debiased=False) == pytest.approx(known, abs=1e-9)
    eye = np.eye(40) - 1 / 40
    k, m = cka.rbf(x), cka.rbf(y)
    assert cka.hsic_biased(k, m) == pytest.approx(np.trace(k @ eye @ m @ eye) / 39**2, abs=1e-12)


def test_the_gaussian_kernel_is_sklearns_at_the_median_distance():
    x, _ = spaces()
    square = np.median([((a - b) ** 2).sum() for i, a in enumerate(x) for b in x[:i]])
    assert cka.rbf(x, 0.5) == pytest.approx(rbf_kernel(x, gamma=1 / (2 * 0.5**2 * square)), abs=1e-9)


def test_debiased_cka_is_near_0_for_unrelated_wide_spaces_and_1_for_a_turned_one():
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(60, 500)), draw.normal(size=(60, 500))
    turn = np.linalg.qr(draw.normal(size=(500, 500)))[0]
    assert cka.alignment(cka.linear(x), cka.linear(y), debiased=False) > 0.8
    assert abs(cka.linear_cka(x, y)) < 0.05
    assert cka.linear_cka(x, 3 * x @ turn + 1) == pytest.approx(1, abs=1e-9)
    assert cka.kernel_cka(x, 3 * x @ turn + 1) == pytest.approx(1, abs=1e-6)
    assert np.isnan(cka.linear_cka(x, np.ones((60, 3))))


def test_canonical_correlations_are_sklearns():
    x, y = spaces(200)
    model = CCA(5, max_iter=5000, tol=1e-12).fit(x, y)
    known = [np.corrcoef(a, b)[0, 1] for a, b in zip(*(v.T for v in model.transform(x, y)))]
    found = cca(x, y)
    assert found.correlations == pytest.approx(known, abs=1e-6)
    variates = (x - x.mean(0)) @ found.weights
    assert np.cov(variates.T) == pytest.approx(np.eye(5), abs=1e-9)


def test_canonical_correlations_survive_any_linear_map_and_width_beyond_samples_needs_a_ridge():
    x, y = spaces(200)
    mix = np.random.default_rng(1).normal(size=(5, 5))
    assert mean_cca(x @ mix, y, 0) == pytest.approx(mean_cca(x, y, 0), abs=1e-9)
    draw = np.random.default_rng(0)
    wide = draw.normal(size=(50, 80)), draw.normal(size=(50, 80))
    assert mean_cca(*wide, ridge=0) > 0.99
    assert mean_cca(*wide, ridge=1.0) < 0.6
    with pytest.raises(ValueError, match="ridge=-1"):
        cca(x, y, -1)


def test_svcca_keeps_the_leading_directions():
    x, y = spaces(200)
    assert svcca(x, y, keep=1.0) == pytest.approx(mean_cca(x, y, 0), abs=1e-9)
    loud = np.hstack([x, 1e-4 * np.random.default_rng(0).normal(size=(200, 3))])
    assert svcca(loud, y, keep=0.999) == pytest.approx(svcca(x, y, keep=0.999), abs=1e-3)


def test_pwcca_weighs_by_hand():
    x, y = spaces(200)
    x = x - x.mean(0)
    found = cca(x, y, 0)
    h = x @ found.weights / np.linalg.norm(x @ found.weights, axis=0)
    alpha = [sum(abs(h[:, i] @ x[:, j]) for j in range(5)) for i in range(5)]
    assert pwcca(x, y, 0) == pytest.approx(np.average(found.correlations, weights=alpha), abs=1e-9)


def test_mutual_neighbours_are_sklearns():
    x, y = spaces()
    near = [NearestNeighbors(n_neighbors=5, metric="cosine").fit(v).kneighbors(return_distance=False) for v in (x, y)]
    known = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(*near)])
    assert mutual_knn(x, y, 5) == pytest.approx(known, abs=1e-12)
    assert mutual_knn(x, 2 * x, 5) == 1
    with pytest.raises(ValueError, match="k=40, expected 1 to 39"):
        mutual_knn(x, y, 40)


def test_rsa_is_scikit_bios_mantel():
    x, y = spaces()
    a, b = (DistanceMatrix((1 - cosine(v)) * (1 - np.eye(40))) for v in (x, y))
    known, p, _ = mantel(a, b, method="spearman", permutations=199, alternative="greater", seed=0)
    found = rsa(x, y, 199)
    assert found[0] == pytest.approx(known, abs=1e-6)
    assert found[1] == pytest.approx(p, abs=0.03)


def test_gap_alignment_and_uniformity_are_those_by_hand():
    x, y = spaces(e=5)
    u, v = (m / np.linalg.norm(m, axis=1)[:, None] for m in (x, y))
    assert alignment(x, y) == pytest.approx(np.mean([sum((p - q) ** 2) for p, q in zip(u, v)]), abs=1e-9)
    apart = [sum((u[i] - u[j]) ** 2) for i in range(len(u)) for j in range(i)]
    assert uniformity(x) == pytest.approx(np.log(np.mean(np.exp(-2 * np.array(apart)))), abs=1e-9)
    assert modality_gap(x, y) == pytest.approx(np.linalg.norm(u.mean(0) - v.mean(0)), abs=1e-12)
    assert modality_gap(np.eye(2)[:1], -np.eye(2)[:1]) == 2
    with pytest.raises(ValueError, match="one width"):
        modality_gap(x, x[:, :2])


def test_the_half_sampled_interval_is_that_of_a_mean_of_products():
    """For a mean the scatter of halves is the textbook standard error, of groups where samples come in groups."""
    draw = np.random.default_rng(0)
    effect = draw.normal(size=(40, 1)).repeat(5, 0)
    ones, groups = np.ones((200, 1)), np.arange(40).repeat(5)

    def statistic(x, y):
        return float((x * y).mean())

    found = resampled(statistic, effect, ones, groups, draws=4000, permutations=0)
    half = 1.96 * effect.std() / 40**0.5
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.06)
    alone = resampled(statistic, effect, ones, draws=1000, permutations=0)
    assert alone.high - alone.low < 0.6 * (found.high - found.low)
    assert np.isnan(found.p)
    with pytest.raises(ValueError, match="2 groups, expected 4"):
        resampled(statistic, effect, ones, groups % 2)


def test_the_null_holds_the_rate_and_bad_spaces_are_refused():
    draw = np.random.default_rng(0)
    ps = []
    for i in range(100):
        x, y = draw.normal(size=(20, 3)), draw.normal(size=(20, 3))
        ps.append(resampled(cka.linear_cka, x, y, draws=0, permutations=19, seed=i).p)
    assert sum(p <= 0.05 for p in ps) <= 12
    assert np.mean(ps) == pytest.approx(0.5, abs=0.1)
    with pytest.raises(ValueError, match="same samples"):
        resampled(cka.linear_cka, x, y[:5])
    with pytest.raises(ValueError, match="lack a modality"):
        resampled(cka.linear_cka, x * np.nan, y)


@pytest.mark.parametrize("name", ["linear_cka", "kernel_cka", "rsa"])
def test_a_matrix_that_goes_along_with_its_rows_gives_the_same(name):
    draw = np.random.default_rng(1)
    x, groups = draw.normal(size=(40, 5)), np.arange(40) // 2
    y = x[:, :3] + draw.normal(size=(40, 3))
    one = measures()[name]
    known = resampled(one, x, y, groups, draws=20, permutations=20)
    plain = resampled(lambda a, b: one(a, b), x, y, groups, draws=20, permutations=20)
    assert dataclasses.astuple(known) == pytest.approx(dataclasses.astuple(plain), abs=1e-12)


def test_every_measure_tells_related_spaces_from_unrelated():
    near = overlap(*spaces(80, e=5, share=3.0), statistics=measures(k=5), draws=30, permutations=39)
    far = overlap(*spaces(80, e=5, share=0.0), draws=0, permutations=39)
    assert near.keys() == far.keys()
    for name in far:
        assert near[name].p == 1 / 40, name
        assert near[name].low < near[name].value < near[name].high
        assert far[name].p > 1 / 40, name
        assert near[name].value > far[name].value, name
    assert far["linear_cka"].n == 80
    assert overlap(*spaces(80), limit=30, draws=0, permutations=0)["rsa"].n == 30


@pytest.mark.parametrize("ridge", [0.1, 1.0])
def test_spaces_wider_than_their_samples_need_no_wide_matrix(ridge):
    """Equal to the formula with a whole covariance matrix, inverted by its square root."""
    x, y = spaces(n=12, d=30, e=25)

    def root(z):
        covariance = z.T @ z / (len(z) - 1)
        values, vectors = np.linalg.eigh(
            covariance + ridge * np.trace(covariance) / len(covariance) * np.eye(z.shape[1])
        )
        return vectors / np.sqrt(values) @ vectors.T

    a, b = x - x.mean(0), y - y.mean(0)
    expected = np.linalg.svd(root(a) @ a.T @ b @ root(b) / (len(a) - 1), compute_uv=False)
    assert cca(x, y, ridge).correlations[:11] == pytest.approx(expected[:11], abs=1e-9)
