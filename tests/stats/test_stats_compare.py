import time

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import ttost_paired

from multimodal_lab.stats.crossed import Crossed
from multimodal_lab.stats.effect import correction, hedges_g_av, wins
from multimodal_lab.stats.equivalence import tost
from multimodal_lab.stats.holm import holm
from multimodal_lab.stats.power import Asked, OneSided, chance, detectable, seeds_needed


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
    found, spread = hedges_g_av(a, b), np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    assert found.size == pytest.approx(j * d.mean() / spread, abs=1e-12)
    t, unit = stats.ttest_rel(b, a).statistic, j * d.std(ddof=1) / spread
    assert stats.nct.cdf(t, 7, found.low / unit * 8**0.5) == pytest.approx(0.975, abs=1e-6)
    assert stats.nct.cdf(t, 7, found.high / unit * 8**0.5) == pytest.approx(0.025, abs=1e-6)
    assert np.isnan(hedges_g_av(a, a + 1).size)
    with pytest.raises(ValueError, match="n >= 2"):
        hedges_g_av(a[:1], b[:1])


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


def test_the_power_of_a_one_sided_test_is_statsmodels():
    known = TTestPower()
    for n in (3, 5, 10):
        one = OneSided(1 / n**0.5, n - 1, 0.05)
        assert one.power(0.9) == pytest.approx(known.power(0.9, n, 0.05, alternative="larger"), abs=1e-8)
        solved = known.solve_power(nobs=n, alpha=0.05, power=0.8, alternative="larger")
        assert detectable([one], most=10) == pytest.approx(solved, abs=1e-5)
    assert (OneSided(0, 5, 0.05).power(1), OneSided(float("inf"), 5, 0.05).power(1)) == (1, 0)
    assert OneSided(0.1, 5, 0.05, less=0.3).power(0.5) == pytest.approx(OneSided(0.1, 5, 0.05).power(0.2))


def test_the_chance_of_several_tests_of_one_arm_is_that_of_its_simulation():
    """Arms that vary alike: gain and two leads share the fused arm, and at most their estimates of the variance."""
    draw = np.random.default_rng(0)
    fused, *others = draw.normal(0, 0.02 / 2**0.5, (4, 200_000))
    tests = [OneSided(0.02, 8, 0.05)] * 3
    for estimates in (1, 3):
        spread = (draw.chisquare(8, (estimates, 200_000)) / 8) ** 0.5
        t = (0.05 + fused - np.array(others)) / (0.02 * spread)
        found = (t > stats.t.ppf(0.95, 8)).all(0).mean()
        assert chance(0.05, tests) == pytest.approx(found, abs=0.03)
    assert chance(0.05, tests[:1]) > chance(0.05, tests) + 0.1
    assert chance(detectable(tests), tests) == pytest.approx(0.8, abs=1e-4)


def test_no_gain_beyond_the_whole_score_is_told_and_none_takes_long():
    began = time.perf_counter()
    for df in (0.05, 0.3, 1.2, 4, 1e4):
        found = detectable([OneSided(0.02, df, 0.05 / 16)] * 3)
        assert 0 < found <= 1 or found == float("inf")
    assert time.perf_counter() - began < 0.5  # .1 s each
    assert detectable([OneSided(0.02, 0.05, 0.05)]) == float("inf")  # a t of so few degrees would need 1e23


def study(seed_variance, fixed, seeds=5):
    se = (seed_variance + fixed) ** 0.5
    return Crossed(0.01, se, 10.0, 0.5, 0.0, 0.02, seeds, 1, 20, seed_variance, fixed)


def asked(*facts):
    return [Asked(study(*facts), 0.025), Asked(study(*facts), 0.05)]


def test_the_seeds_still_needed_are_the_least_that_do():
    needed = seeds_needed(asked(1e-4, 1e-7), 0.01)

    def seen(seeds):
        df = 10 + (seeds - 5) * 1e-4 / (1e-4 + 1e-7)
        se = (1e-7 + 1e-4 * 5 / seeds) ** 0.5
        return chance(0.01, [OneSided(se, df, 0.025), OneSided(se, df, 0.05)]) >= 0.8

    least = next(s for s in range(5, 1000) if seen(s))
    assert needed.more == least - 5
    assert needed.sentence == f"{least - 5} more seeds would find a gain of 1 point with 80 % chance"


def test_no_seeds_help_where_the_groups_are_too_few():
    assert seeds_needed(asked(1e-6, 1e-4), 0.01).more is None
    assert "needs more groups" in seeds_needed(asked(1e-6, 1e-4), 0.01).sentence
    assert seeds_needed(asked(1e-8, 1e-8), 0.01).more == 0
    assert "nothing can be forecast" in seeds_needed(asked(float("inf"), float("inf"), 1), 0.01).sentence
