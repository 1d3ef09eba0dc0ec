"""Numbers of the audit against scipy and scikit-learn."""

import numpy as np
import pytest
from scipy import stats
from scipy.stats.contingency import association
from sklearn.metrics import normalized_mutual_info_score

from multimodal_lab.data.audit import association as ours
from multimodal_lab.data.audit.confound import _holm
from multimodal_lab.stats.holm import holm


@pytest.fixture(params=range(5))
def pair(request):
    """Two classifications of unequal sizes that go together more or less."""
    rng = np.random.default_rng(request.param)
    a = rng.choice(3 + request.param, size=300, p=rng.dirichlet(np.ones(3 + request.param)))
    b = np.where(rng.random(300) < 0.2 * request.param, a // 2, rng.integers(0, 4, 300))
    return a, b


def test_chi2_is_scipys(pair):
    counts = ours.table(*pair)
    assert ours.chi2(counts) == pytest.approx(stats.chi2_contingency(counts, correction=False).statistic, rel=1e-9)


def test_cramers_v_without_its_correction_is_scipys(pair):
    """Bergsma's V by his formulas from scipy's plain one."""
    counts = ours.table(*pair)
    plain, n, (r, k) = association(counts, method="cramer"), counts.sum(), counts.shape
    square = max(0.0, plain**2 * (min(r, k) - 1) - (r - 1) * (k - 1) / (n - 1))
    wide = min(r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1)) - 1
    assert ours.cramers_v(counts) == pytest.approx((square / wide) ** 0.5, abs=1e-9)


def test_normalised_information_is_scikit_learns(pair):
    found = ours.normalised_information(ours.table(*pair))
    assert found == pytest.approx(normalized_mutual_info_score(*pair, average_method="arithmetic"), abs=1e-9)


def test_perfect_and_no_association():
    a = np.arange(400) % 4
    assert ours.cramers_v(ours.table(a, 9 - a)) == pytest.approx(1.0)
    rng = np.random.default_rng(0)
    v = [ours.cramers_v(ours.table(a, rng.integers(0, 40, 400))) for _ in range(50)]
    assert np.mean(v) < 0.06  # forty values of ten samples each: uncorrected it is .31


def test_the_chance_of_single_samples_is_about_chi2s_and_even_where_nothing_goes_together(monkeypatch):
    rng = np.random.default_rng(1)
    a = rng.integers(0, 3, 200)
    b = np.where(rng.random(200) < 0.12, a, rng.integers(0, 3, 200))
    expected = stats.chi2_contingency(ours.table(a, b)).pvalue
    assert ours.chance(a, b) == pytest.approx(expected, abs=0.02)
    monkeypatch.setattr(ours, "DRAWS", 199)
    null = [ours.chance(rng.integers(0, 3, 60), rng.integers(0, 4, 60)) for _ in range(100)]
    assert 0.01 <= np.mean(np.array(null) <= 0.1) <= 0.2


def test_the_chance_of_groups_takes_each_group_for_one(monkeypatch):
    """Ten samples of one individual on one day are one pair, not ten."""
    monkeypatch.setattr(ours, "DRAWS", 199)
    rng = np.random.default_rng(2)
    sure = []
    for _ in range(50):
        label, day = np.repeat(rng.integers(0, 2, 16), 10), np.repeat(rng.integers(0, 2, 16), 10)
        units = np.repeat(np.arange(16), 10)
        sure.append((ours.chance(label, day, units) <= 0.05, ours.chance(label, day) <= 0.05))
    by_group, by_sample = np.mean(sure, axis=0)
    assert by_group <= 0.12
    assert by_sample > 0.3


def test_what_a_column_alone_scores():
    column, label = np.array([0, 0, 0, 1, 1, 0, 1, 2]), np.array([0, 0, 1, 1, 1, 0, 0, 1])
    train, test = np.arange(5), np.arange(5, 8)  # of value 0 mostly 0, of value 1 all 1; train's usual class is 1
    assert ours.score_alone(label, column, train, test) == pytest.approx((2 / 3, 1 / 3, 2 / 3))


def test_holm_is_that_of_the_statistics():
    p = np.random.default_rng(3).random(20) ** 3
    assert _holm(p.tolist()) == pytest.approx(holm(p).tolist())
