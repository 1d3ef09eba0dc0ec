"""The chance of rare events in groups, against enumeration and other libraries."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from multimodal_lab.stats import betabinomial
from multimodal_lab.stats.betabinomial import WITHIN, Events, chance, events, interval
from multimodal_lab.stats.crossed import crossed
from multimodal_lab.stats.equivalence import equivalence, over_arms, rivals, tost, within
from multimodal_lab.stats.own import own
from multimodal_lab.stats.paired import paired


def right(wrong, samples, seeds=3):
    """An arm's own scores, the first `wrong` samples of them 0."""
    score = np.ones((seeds, 1, samples))
    score[:, :, :wrong] = 0
    return paired(np.zeros_like(score), score)


def made(won, trials, shares=None):
    won, trials = np.array(won, float), np.array(trials, float)
    shares = trials / trials.sum() if shares is None else np.array(shares)
    return Events(np.zeros_like(won), won, trials, shares, float((shares * won / trials).sum()), 1.0, 0.0)


def test_likelihood_is_that_of_scipy_but_for_a_constant():
    won, trials, rates = np.array([0, 3, 1, 9]), np.array([5, 8, 20, 9]), np.array([0.02, 0.3])
    found = betabinomial._likelihood(won.astype(float), trials.astype(float), rates)
    spread = ((1 - WITHIN) / WITHIN)[:, None]
    known = sum(
        stats.betabinom.logpmf(w, n, spread * rates, spread * (1 - rates)) for w, n in zip(won, trials, strict=True)
    )
    assert np.allclose(found - found[5, 0], known - known[5, 0], atol=1e-6)


@pytest.mark.parametrize("correlation", [0.0001, 0.2, 0.999])
def test_moments_are_those_of_all_outcomes(correlation):
    trials, rate, spread = [4, 7], 0.1, (1 - correlation) / correlation
    of = made([0, 0], trials, [0.3, 0.7])
    a, b = (
        [(w * k / n, stats.betabinom.pmf(k, n, spread * rate, spread * (1 - rate))) for k in range(n + 1)]
        for n, w in zip(trials, of.shares, strict=True)
    )
    known = [sum(p * q * (x + y - rate) ** power for x, p in a for y, q in b) for power in (2, 3)]
    assert betabinomial._moments(rate, correlation, of) == pytest.approx(known, rel=1e-9)


@pytest.mark.parametrize("skew", [-2.0, -0.3, 0.0, 0.5, 3.0])
def test_tail_is_that_of_scipy(skew):
    z = np.linspace(-4, 4, 33)
    assert [betabinomial._above(x, skew) for x in z] == pytest.approx(stats.pearson3.sf(z, skew), abs=1e-9)


@pytest.mark.parametrize("groups", [100, 150, 200])
def test_where_no_group_differs_p_is_that_no_group_fails_whole(groups):
    a = np.ones((3, 1, 4 * groups))
    pairs = paired(a, a, np.arange(4 * groups) // 4)
    p = within(pairs, crossed(pairs), 0.02)
    assert p == pytest.approx(0.98**groups, rel=0.25)
    assert p > 0.98**groups or groups < 150


@pytest.mark.parametrize(("wrong", "samples"), [(0, 20), (0, 30), (1, 20), (4, 60), (30, 30)])
def test_an_own_interval_is_near_clopper_and_pearson_and_in_0_to_1(wrong, samples):
    found = own(right(wrong, samples))
    low, high = proportion_confint(samples - wrong, samples, method="beta")
    assert 0 <= found.low == pytest.approx(low, abs=0.02)
    assert 1 >= found.high >= high - 0.02


def test_thirty_right_samples_are_not_surely_perfect_and_a_group_counts_once():
    assert own(right(0, 30)).low < 0.9
    score = np.ones((3, 1, 30))
    assert own(paired(0 * score, score, np.arange(30) // 6)).low < 0.6  # five groups
    assert own(right(0, 30), level=0.5).low > own(right(0, 30)).low


def test_an_error_that_is_new_in_every_seed_is_less_in_a_clump():
    """The same mean loss: on one sample in all seeds, or on one other sample in each."""
    baseline = np.ones((4, 1, 300))
    alike, spread = baseline.copy(), baseline.copy()
    alike[:, 0, :3] = 0
    for seed in range(4):
        spread[seed, 0, 3 * seed : 3 * seed + 3] = 0
    together, apart = (paired(baseline, arm) for arm in (alike, spread))
    assert together.mean == apart.mean == -0.01
    assert events(apart).trials[0] == pytest.approx(4, rel=0.05)
    assert within(apart, crossed(apart), 0.02) < 0.2 * within(together, crossed(together), 0.02)


def test_events_of_a_few_groups_say_less_than_events_of_all():
    """Eight of 400 samples: each in a group of its own, or all in one."""
    baseline, groups = np.ones((3, 1, 400)), np.arange(400) // 10
    few, many = baseline.copy(), baseline.copy()
    few[:, :, :8] = 0
    many[:, :, :80:10] = 0
    of = [events(paired(baseline, arm, groups)) for arm in (few, many)]
    assert chance(of[0], -0.04) > 2 * chance(of[1], -0.04)
    assert interval(of[0], 0.05)[0] < interval(of[1], 0.05)[0]


def test_where_much_differs_the_interval_is_that_of_the_t_test():
    draw = np.random.default_rng(0)
    a, b = ((draw.random((5, 1, 4000)) < 0.7).astype(float) for _ in range(2))
    pairs = paired(a, b, np.arange(4000) // 10)
    found = crossed(pairs)
    plain, told = tost(found.mean, found.se, found.df, 0.02), equivalence(pairs, found, 0.02)
    assert told.low == pytest.approx(plain.low, abs=0.002)
    assert told.high == pytest.approx(plain.high, abs=0.002)
    assert told.p >= plain.p
    assert told.shown == (told.low > -0.02 and told.high < 0.02)


def test_a_score_beyond_1_has_a_larger_unit():
    draw = np.random.default_rng(1)
    a, b = draw.random((2, 3, 1, 200))
    one, ten = events(paired(a, b)), events(paired(10 * a, 10 * b))
    assert one.unit == 1
    assert ten.unit > 5
    reach = [of.unit * of.mean - interval(of, 0.05)[0] for of in (one, ten)]
    plain = 1.645 * crossed(paired(a, b)).se
    assert 0.9 * plain < reach[0] < 2 * plain
    assert 8 * plain < reach[1] < 20 * plain


def test_what_is_chosen_among_several_is_harder_to_show():
    draw = np.random.default_rng(2)
    baseline, fused = (draw.random((5, 1, 800)) > 0.01).astype(float), (draw.random((5, 1, 800)) > 0.005).astype(float)
    pairs = paired(baseline, fused)
    found = crossed(pairs)
    assert found.mean > 0  # so that the side of a gain decides
    one = within(pairs, found, 0.012)
    assert within(pairs, found, 0.012, among=3) == pytest.approx(3 * one)
    equal = equivalence(pairs, found, 0.012)
    assert [e.p for e in over_arms([equal, equal])] == pytest.approx([2 * one] * 2)
    weak = crossed(paired((draw.random((5, 1, 800)) > 0.3).astype(float), baseline))
    assert rivals([crossed(paired(fused, baseline)), weak]) == 2
