import dataclasses
from itertools import permutations, product

import numpy as np
import pytest
from scipy.stats import spearmanr
from scipy.stats import t as student
from skbio import DistanceMatrix
from skbio.stats.distance import mantel
from sklearn.cross_decomposition import CCA
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import NearestNeighbors

from multimodal_lab.metric.similarity import cosine, rsa
from multimodal_lab.stats import cka
from multimodal_lab.stats import rsa as grouped_rsa
from multimodal_lab.stats.cca import cca, held_out, mean_cca, pwcca, svcca
from multimodal_lab.stats.jackknife import blocks, jackknife
from multimodal_lab.stats.overlap import measures, overlap
from multimodal_lab.stats.resample import resampled
from multimodal_lab.stats.sphere import alignment, gap_squared, modality_gap, mutual_knn, uniformity


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


OF = np.array([0, 0, 0, 1, 2, 2, 3, 4, 4])


def members(*groups):
    """All choices of one row of each of these groups of OF."""
    return product(*(np.flatnonzero(g == OF) for g in groups))


def test_hsic_of_groups_is_the_mean_over_fours_of_different_groups():
    """Four groups at random, one row at random of each: a group counts the same whatever its size."""
    x, y = spaces(9)
    k, m = cka.linear(x), cka.linear(y)
    fours = [
        np.mean([k[i, j] * m[i, j] + k[i, j] * m[q, r] - 2 * k[i, j] * m[i, q] for i, j, q, r in members(*own)])
        for own in permutations(range(5), 4)
    ]
    assert cka.hsic(k, m, OF) == pytest.approx(np.mean(fours), abs=1e-9)
    order = np.random.default_rng(0).permutation(9)
    assert cka.linear_cka(x[order], y[order], OF[order] * 7) == pytest.approx(cka.linear_cka(x, y, OF), abs=1e-9)


def test_the_kernels_width_is_a_distance_between_groups():
    x, _ = spaces(9)
    between = np.median([((x[i] - x[j]) ** 2).sum() for i in range(9) for j in range(i) if OF[i] != OF[j]])
    assert cka.rbf(x, OF) == pytest.approx(rbf_kernel(x, gamma=1 / (2 * between)), abs=1e-9)


def test_rsa_of_groups_is_spearmans_over_their_pairs():
    x, y = spaces(9)
    pairs = [(i, j) for i in range(9) for j in range(i) if OF[i] != OF[j]]
    # every pair as often as makes each two groups count the same: sizes 3, 1, 2, 1, 2
    often = [36 // (np.sum(OF[i] == OF) * np.sum(OF[j] == OF)) for i, j in pairs]
    a, b = ([cosine(v)[pair] for pair, n in zip(pairs, often) for _ in range(n)] for v in (x, y))
    assert grouped_rsa.rsa(x, y, OF) == pytest.approx(spearmanr(a, b).statistic, abs=1e-9)
    assert grouped_rsa.rsa(x, y) == pytest.approx(rsa(x, y)[0], abs=1e-9)
    assert np.isnan(grouped_rsa.rsa(x, np.ones((9, 3)), OF))


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
    assert cka.rbf(x, width=0.5) == pytest.approx(rbf_kernel(x, gamma=1 / (2 * 0.5**2 * square)), abs=1e-9)


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
    variates, others = (x - x.mean(0)) @ found.weights, (y - y.mean(0)) @ found.others
    assert np.cov(variates.T) == pytest.approx(np.eye(5), abs=1e-9)
    assert np.cov(variates.T, others.T)[:5, 5:] == pytest.approx(np.diag(found.correlations), abs=1e-9)


def test_canonical_correlations_survive_any_linear_map_and_width_beyond_samples_needs_a_ridge():
    x, y = spaces(200)
    mix = np.random.default_rng(1).normal(size=(5, 5))
    assert mean_cca(x @ mix, y, ridge=0) == pytest.approx(mean_cca(x, y, ridge=0), abs=1e-9)
    draw = np.random.default_rng(0)
    wide = draw.normal(size=(50, 80)), draw.normal(size=(50, 80))
    assert cca(*wide, 0).correlations.mean() > 0.99
    assert cca(*wide, 1.0).correlations.mean() < 0.6
    assert abs(mean_cca(*wide)) < 0.1
    with pytest.raises(ValueError, match="ridge=-1"):
        cca(x, y, -1)


def test_held_out_correlations_are_scikit_learns_of_other_groups():
    """Learnt by its CCA on four parts of the groups, correlated in the fifth, products of all five together."""
    x, y = spaces(60)
    groups = np.arange(60) // 3
    part = (np.random.default_rng(0).permutation(20) % 5)[groups]
    products = np.zeros((3, 5))
    for fold in range(5):
        train, test = part != fold, part == fold
        model = CCA(5, max_iter=20000, tol=1e-13, scale=False).fit(x[train], y[train])
        deviations = [v.std(0) for v in model.transform(x[train], y[train])]
        u, v = (v / s for v, s in zip(model.transform(x[test], y[test]), deviations))
        products += (u * v).sum(0), (u**2).sum(0), (v**2).sum(0)
    known = products[0] / np.sqrt(products[1] * products[2])
    assert held_out(x, y, groups, ridge=0).correlations == pytest.approx(known, abs=1e-4)
    assert mean_cca(x, y, groups, ridge=0) == pytest.approx(known.mean(), abs=1e-4)
    assert known[4] < cca(x, y).correlations[4] - 0.05


def test_svcca_keeps_the_leading_directions():
    x, y = spaces(200)
    assert svcca(x, y, keep=1.0) == pytest.approx(mean_cca(x, y), abs=1e-9)
    loud = np.hstack([x, 1e-4 * np.random.default_rng(0).normal(size=(200, 3))])
    assert svcca(loud, y, keep=0.999) == pytest.approx(svcca(x, y, keep=0.999), abs=1e-3)


def test_pwcca_weighs_by_hand():
    x, y = spaces(200)
    x = x - x.mean(0)
    part = np.random.default_rng(0).permutation(200) % 5
    alpha = np.zeros(5)
    for fold in range(5):
        own = x[part != fold] - x[part != fold].mean(0)
        h = own @ cca(own, y[part != fold]).weights
        h = h / np.linalg.norm(h, axis=0)
        alpha += [sum(abs(h[:, i] @ own[:, j]) for j in range(5)) for i in range(5)]
    found = held_out(x, y, ridge=0).correlations
    assert pwcca(x, y, ridge=0) == pytest.approx(np.average(found, weights=alpha), abs=1e-9)


def test_mutual_neighbours_are_sklearns():
    x, y = spaces()
    near = [NearestNeighbors(n_neighbors=5, metric="cosine").fit(v).kneighbors(return_distance=False) for v in (x, y)]
    known = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(*near)])
    assert mutual_knn(x, y, k=5) == pytest.approx(known, abs=1e-12)
    assert mutual_knn(x, 2 * x, k=5) == 1
    with pytest.raises(ValueError, match="k=40, expected 1 to 39"):
        mutual_knn(x, y, k=40)


def test_neighbours_are_of_other_groups():
    x, y = (v[:9] for v in spaces(9))
    shared = np.zeros(9)
    for i in range(9):
        others = [j for j in range(9) if OF[j] != OF[i]]
        near = [sorted(others, key=lambda j: -cosine(v)[i, j])[:2] for v in (x, y)]
        shared[i] = len(set(near[0]) & set(near[1])) / 2
    known = np.mean([shared[g == OF].mean() for g in range(5)])
    assert mutual_knn(x, y, OF, k=2) == pytest.approx(known, abs=1e-12)
    with pytest.raises(ValueError, match="k=7, expected 1 to 6"):
        mutual_knn(x, y, OF, k=7)


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
    with pytest.raises(ValueError, match="one width"):
        gap_squared(x, x[:, :2])


def test_of_groups_gap_alignment_and_uniformity_are_means_over_groups_by_hand():
    x, y = (v[:9] for v in spaces(9, e=5))
    u, v = (m / np.linalg.norm(m, axis=1)[:, None] for m in (x, y))
    two = list(permutations(range(5), 2))
    squares = [np.mean([(u[i] - v[i]) @ (u[j] - v[j]) for i, j in members(*own)]) for own in two]
    assert gap_squared(x, y, OF) == pytest.approx(np.mean(squares), abs=1e-12)
    near = [np.mean([np.exp(-2 * ((u[i] - u[j]) ** 2).sum()) for i, j in members(*own)]) for own in two]
    assert uniformity(x, OF) == pytest.approx(np.log(np.mean(near)), abs=1e-9)
    own = [((u - v)[g == OF] ** 2).sum(1).mean() for g in range(5)]
    assert alignment(x, y, OF) == pytest.approx(np.mean(own), abs=1e-12)


def test_the_jackknife_of_a_mean_is_the_textbook_interval_and_that_of_a_square_has_no_bias():
    """Of groups where samples come in groups; 100 of them in 40 lots, which needs the formula for unequal lots."""
    draw = np.random.default_rng(0)
    effect = draw.normal(size=(40, 1)).repeat(5, 0)
    ones, groups = np.ones((200, 1)), np.arange(40).repeat(5)

    def statistic(x, y, index):
        return float((x * y).mean())

    found = resampled(statistic, effect, ones, groups, permutations=0)
    half = student.ppf(0.975, 39) * effect[::5].std(ddof=1) / 40**0.5
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=1e-9)
    alone = resampled(statistic, effect, ones, permutations=0)
    assert alone.high - alone.low < 0.6 * (found.high - found.low)
    assert np.isnan(found.p)
    assert np.isnan(resampled(statistic, effect, ones, groups % 6, permutations=0).low)
    values = draw.normal(size=100)
    lots = blocks(np.arange(100))
    left = np.array([values[lots != lot].mean() for lot in range(40)])[:, None]
    square = jackknife(np.array([values.mean() ** 2]), left**2, np.bincount(lots))
    one = jackknife(np.array([values.mean()]), left, np.bincount(lots))
    assert one.corrected[0] == pytest.approx(values.mean(), abs=1e-12)
    assert one.se[0] == pytest.approx(values.std(ddof=1) / 10, rel=0.25)
    assert square.corrected[0] == pytest.approx(values.mean() ** 2 - one.se[0] ** 2, abs=0.05 * one.se[0] ** 2)


def test_the_null_holds_the_rate_and_bad_spaces_are_refused():
    draw = np.random.default_rng(0)
    ps = []
    for i in range(100):
        x, y = draw.normal(size=(20, 3)), draw.normal(size=(20, 3))
        ps.append(resampled(cka.linear_cka, x, y, interval=False, permutations=19, seed=i).p)
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
    one = measures()[name].of
    known = resampled(one, x, y, groups, permutations=20)
    plain = resampled(lambda a, b, index: one(a, b, index), x, y, groups, permutations=20)
    assert dataclasses.astuple(known) == pytest.approx(dataclasses.astuple(plain), abs=1e-12)


def test_every_measure_tells_related_spaces_from_unrelated():
    near = overlap(*spaces(80, e=5, share=3.0), of=measures(k=5), permutations=39)
    far = overlap(*spaces(80, e=5, share=0.0), intervals=False, permutations=39)
    assert near.keys() == far.keys()
    for name in far:
        assert near[name].p == 1 / 40, name
        held = near[name].low < near[name].value < near[name].high
        assert held == (name not in ("cca", "svcca", "pwcca")), name
        assert far[name].p > 1 / 40, name
        assert near[name].value > far[name].value, name
    assert far["linear_cka"].n == 80
    assert overlap(*spaces(80), limit=30, permutations=0)["rsa"].n == 30


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
