import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import ttost_paired

from multimodal_lab.stats.crossed import Crossed
from multimodal_lab.stats.effect import correction, hedges_g_av, hedges_g_z, wins
from multimodal_lab.stats.equivalence import tost
from multimodal_lab.stats.holm import holm
from multimodal_lab.stats.power import detectable, power, seeds_needed


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_statsmodels(seed):
    p = np.random.default_rng(seed).random(9).round(1) ** 2
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)


def test_holm_by_hand():
    assert holm(np.array([0.04, 0.01, 0.03])).tolist() == pytest.approx([0.06, 0.03, 0.06])
    assert holm(np.array([0.9, 0.8])).tolist() == [1, 1]
    assert holm(np.array([])).tolist() == []
    with pytest.raises(ValueError, match=r"numbers in \[0, 1\]"):
        holm(np.array([0.5, np.nan]))


def test_effect_sizes_are_the_formulas_and_their_intervals_cover_as_the_noncentral_t_says():
    draw = np.random.default_rng(0)
    a = draw.normal(size=8)
    b = a + draw.normal(0.7, 0.8, 8)
    d, j = b - a, correction(7)
    assert j == pytest.approx(1 - 3 / (4 * 7 - 1), abs=1e-3)
    z, av = hedges_g_z(a, b), hedges_g_av(a, b)
    assert z.size == pytest.approx(j * d.mean() / d.std(ddof=1), abs=1e-12)
    assert av.size == pytest.approx(j * d.mean() / np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2), abs=1e-12)
    t = stats.ttest_rel(b, a).statistic
    assert stats.nct.cdf(t, 7, z.low / j * 8**0.5) == pytest.approx(0.975, abs=1e-6)
    assert stats.nct.cdf(t, 7, z.high / j * 8**0.5) == pytest.approx(0.025, abs=1e-6)
    assert av.low / z.low == pytest.approx(av.size / z.size, abs=1e-9)
    assert np.isnan(hedges_g_av(a, a + 1).size)
    with pytest.raises(ValueError, match="n >= 2"):
        hedges_g_z(a[:1], b[:1])


def test_g_is_unbiased():
    draw = np.random.default_rng(0).normal(0.5, 1, (4000, 6))
    found = [correction(5) * d.mean() / d.std(ddof=1) for d in draw]
    assert np.mean(found) == pytest.approx(0.5, abs=0.03)
    assert np.mean(found) / correction(5) > 0.57  # without the correction it is too large


def test_wins_ties_and_losses_are_counted():
    assert wins(np.zeros(5), np.array([0.2, 0.01, 0, -0.01, -0.3]), tie=0.01) == (1, 3, 1)
    assert wins(np.zeros(3), np.array([1, 0, -1])) == (1, 1, 1)


@pytest.mark.parametrize("shift", [0.0, 0.1, -0.4])
def test_tost_is_statsmodels(shift):
    x = np.random.default_rng(1).normal(shift, 0.5, 15)
    known, _, _ = ttost_paired(x, np.zeros(15), -0.3, 0.3)
    found = tost(x.mean(), x.std(ddof=1) / 15**0.5, 14, 0.3)
    assert found.p == pytest.approx(known, abs=1e-9)
    assert found.shown == (max(-found.low, found.high) < 0.3)
    assert (found.low, found.high) == pytest.approx(stats.ttest_1samp(x, 0).confidence_interval(0.9), abs=1e-9)


def test_tost_at_the_ends():
    assert tost(0.01, 0, 4, 0.02).shown
    assert not tost(0.02, 0, 4, 0.02).shown
    assert tost(0.0, float("inf"), 4, 0.02).p == 1
    with pytest.raises(ValueError, match="margin=0, expected > 0"):
        tost(0, 1, 4, 0)


def test_power_and_detectable_effect_are_statsmodels():
    known = TTestPower()
    for n in (3, 5, 10):
        assert power(0.9, 1 / n**0.5, n - 1) == pytest.approx(known.power(0.9, n, 0.05), abs=1e-8)
        solved = known.solve_power(nobs=n, alpha=0.05, power=0.8)
        assert detectable(1 / n**0.5, n - 1) == pytest.approx(solved, abs=1e-6)
    assert power(0, 1, 9) == pytest.approx(0.05)
    assert (power(1, 0, 5), power(1, float("inf"), 5), detectable(float("inf"), 5)) == (1, 0, float("inf"))


def study(seed_variance, fixed, seeds=5):
    se = (seed_variance + fixed) ** 0.5
    return Crossed(0.01, se, 10.0, 0.5, 0.0, 0.02, seeds, 1, 20, seed_variance, fixed)


def test_the_seeds_still_needed_are_the_least_that_do():
    found = study(1e-4, 1e-7)
    needed = seeds_needed(found, 0.01)

    def seen(seeds):
        df = 10 + (seeds - 5) * 1e-4 / (1e-4 + 1e-7)
        return detectable((1e-7 + 1e-4 * 5 / seeds) ** 0.5, df) <= 0.01

    least = next(s for s in range(5, 1000) if seen(s))
    assert needed.more == least - 5
    assert needed.sentence == f"{least - 5} more seeds would let it see 1 point"


def test_no_seeds_help_where_the_groups_are_too_few():
    assert seeds_needed(study(1e-6, 1e-4), 0.01).more is None
    assert "needs more groups" in seeds_needed(study(1e-6, 1e-4), 0.01).sentence
    assert seeds_needed(study(1e-8, 1e-8), 0.01).more == 0
    assert "nothing can be forecast" in seeds_needed(study(float("inf"), float("inf"), 1), 0.01).sentence
