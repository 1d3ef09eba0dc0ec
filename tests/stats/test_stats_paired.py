import itertools
from dataclasses import replace
from statistics import mean, variance

import numpy as np
import pytest
from scipy import stats

from multimodal_lab.stats.bootstrap import hierarchical
from multimodal_lab.stats.crossed import crossed, fewest_df, group_variance
from multimodal_lab.stats.equivalence import within
from multimodal_lab.stats.folds import nadeau_bengio
from multimodal_lab.stats.paired import paired
from multimodal_lab.stats.permutation import sign_flip, smallest_p, wilcoxon


def scores(seed=0, shape=(4, 1, 30), groups=7, gain=0.0):
    draw = np.random.default_rng(seed)
    group = draw.integers(0, groups, shape[2])
    group[:groups] = range(groups)
    shared = draw.normal(size=groups)[group]
    a = draw.normal(size=shape)
    return a, draw.normal(size=shape) + shared + gain, group


def test_a_paired_mean_is_the_mean_of_means_of_test_parts():
    a, b, group = scores(shape=(3, 2, 20))
    a[:, 0, :8] = b[:, 0, :8] = np.nan
    pairs = paired(a, b, group)
    slow = mean(mean(y - x for x, y in zip(a[s, r], b[s, r]) if x == x) for s in range(3) for r in range(2))
    assert pairs.mean == pytest.approx(slow, abs=1e-12)
    assert pairs.by_group.sum() == pytest.approx(slow, abs=1e-12)
    assert pairs.shares.sum() == pytest.approx(1, abs=1e-12)
    assert pairs.counts.sum(1).tolist() == [12, 20]


def test_arms_seeds_and_splits_that_are_not_paired_are_refused():
    a, b, group = scores(shape=(3, 2, 20))
    with pytest.raises(ValueError, match="expected two equal"):
        paired(a, b[:2], group)
    with pytest.raises(ValueError, match="one for each of 20 samples"):
        paired(a, b, group[:3])
    hole = b.copy()
    hole[1, 0, 3] = np.nan
    with pytest.raises(ValueError, match="seed 1, split 0: the arms have 20 and 19"):
        paired(a, hole, group)
    with pytest.raises(ValueError, match="split 0: seed 1 has other test samples"):
        paired(hole, hole, group)
    a[:, 1] = b[:, 1] = np.nan
    with pytest.raises(ValueError, match="split 1 has no test samples"):
        paired(a, b, group)


def test_with_groups_of_one_and_equal_seeds_the_crossed_test_is_the_paired_t_test():
    """No seed moves anything: V is the jackknife of a mean, which is s^2 / n exactly."""
    a, b, _ = scores(shape=(1, 1, 12))
    a, b = a.repeat(3, 0), b.repeat(3, 0)
    found, known = crossed(paired(a, b)), stats.ttest_rel(b[0, 0], a[0, 0])
    assert (found.df, found.p) == (pytest.approx(11), pytest.approx(known.pvalue, abs=1e-9))
    assert (found.low, found.high) == pytest.approx(tuple(known.confidence_interval()), abs=1e-9)


def test_where_only_seeds_differ_the_crossed_test_is_welchs_over_seeds():
    """The seeds of two arms are different draws: two samples of seeds, not pairs."""
    luck = np.random.default_rng(1).normal(size=(2, 5, 1, 1)) * [[[[1]]], [[[0.5]]]] + 0.8
    a, b = (np.tile(own, (1, 1, 40)) for own in luck)
    found = crossed(paired(a, b, np.arange(40) % 8))
    known = stats.ttest_ind(luck[1].ravel(), luck[0].ravel(), equal_var=False)
    assert (found.df, found.p) == (pytest.approx(known.df), pytest.approx(known.pvalue, abs=1e-9))


def slow_parts(d, group):
    """What seeds give to the variance of the mean of d (S, N), and seed and group together."""
    n, names = d.shape[1], sorted(set(group))
    part = {
        (s, g): sum(d[s, i] - d[s].mean() for i in range(n) if group[i] == g) / n for s in range(len(d)) for g in names
    }
    centre = {g: mean(part[s, g] for s in range(len(d))) for g in names}
    both = sum((part[s, g] - centre[g]) ** 2 for s in range(len(d)) for g in names) / (len(d) * (len(d) - 1))
    return variance([row.mean() for row in d]) / len(d), both


def test_the_crossed_variance_is_that_of_the_slow_formulas():
    a, b, group = scores(3)
    pairs, d = paired(a, b, group), (b - a)[:, 0]
    (seed_a, both_a), (seed_b, both_b) = slow_parts(a[:, 0], group), slow_parts(b[:, 0], group)
    seed, both = seed_a + seed_b, both_a + both_b
    whole, names = d.mean(), sorted(set(group))
    without = [d[:, group != g].mean() for g in names]
    by_group = 6 / 7 * sum((w - whole) ** 2 for w in without)
    shares = [np.mean(group == g) for g in names]
    df_seed, df_group = 3 * seed**2 / (seed_a**2 + seed_b**2), 1 / sum(s**2 for s in shares) - 1
    total, spent = both, both**2 / (df_seed * df_group)
    for own, df in ((seed, df_seed), (by_group, df_group)):
        if own > both:
            total, spent = total + own - both, spent + own**2 / df
    found = crossed(pairs)
    assert group_variance(pairs) == pytest.approx(by_group, abs=1e-12)
    assert found.se**2 == pytest.approx(total, abs=1e-12)
    assert found.df == pytest.approx(max(total**2 / spent, min(df_seed, df_group)))
    assert found.seed_variance + found.fixed_variance == pytest.approx(found.se**2, abs=1e-12)


def test_the_crossed_test_is_honest_where_it_cannot_know():
    a, b, group = scores(gain=3.0)
    for pairs in (paired(a[:1], b[:1], group), paired(a, b, group * 0)):
        found = crossed(pairs)
        assert (found.p, found.se) == (1, float("inf"))
    assert crossed(paired(a, a, group)).p == 1
    two = np.tile(a, (1, 2, 1))
    with pytest.raises(ValueError, match="2 splits overlap in training"):
        crossed(paired(two, two, group))


def test_splits_that_disagree_widen_the_crossed_interval():
    a, b, group = scores(shape=(4, 3, 60), groups=20)
    shifted = b + np.array([-2.0, 0, 2])[None, :, None]
    known = nadeau_bengio((shifted - a).mean((0, 2)), 0.25)
    found = crossed(paired(a, shifted, group), 0.25)
    assert found.se >= known.se > crossed(paired(a, b, group), 0.25).se
    assert found.df < 3


def test_nadeau_bengio_is_the_paper_and_without_overlap_the_t_test():
    x = np.random.default_rng(0).normal(0.3, 1, 10)
    t = mean(x) / ((1 / 10 + 0.25) * variance(x)) ** 0.5
    found = nadeau_bengio(x, 0.25)
    assert (found.t, found.p) == pytest.approx((t, 2 * stats.t.sf(abs(t), 9)), abs=1e-12)
    assert nadeau_bengio(x, 0).p == pytest.approx(stats.ttest_1samp(x, 0).pvalue, abs=1e-12)
    assert nadeau_bengio(np.zeros(3), 0.25).p == 1
    assert nadeau_bengio(np.ones(3), 0.25).p == 0
    with pytest.raises(ValueError, match="2 or more"):
        nadeau_bengio(x[:1], 0.25)


@pytest.mark.parametrize("side", ["two-sided", "greater", "less"])
def test_sign_flips_are_counted_one_by_one(side):
    x = np.random.default_rng(2).normal(0.4, 1, 9).round(1)
    x = x[x != 0]
    sums = [sum(s * v for s, v in zip(signs, x)) for signs in itertools.product([1, -1], repeat=len(x))]
    t = sum(x)
    hits = {
        "two-sided": sum(abs(s) >= abs(t) - 1e-9 for s in sums),
        "greater": sum(s >= t - 1e-9 for s in sums),
        "less": sum(s <= t + 1e-9 for s in sums),
    }[side]
    assert sign_flip(x, side).p == hits / len(sums)
    known = stats.permutation_test((x,), np.mean, permutation_type="samples", alternative=side, n_resamples=np.inf)
    assert sign_flip(x, side).p == pytest.approx(known.pvalue, abs=1e-9)


def test_sign_flips_of_many_pairs_are_drawn_and_near_the_t_test():
    x = np.random.default_rng(0).normal(0.25, 1, 60)
    found = sign_flip(x)
    assert not found.exact
    assert found.p == pytest.approx(stats.ttest_1samp(x, 0).pvalue, abs=0.015)
    assert sign_flip(x + 9).p == found.smallest == 1e-4


def test_it_says_when_so_few_pairs_cannot_give_a_lower_p():
    found = sign_flip(np.array([5.0, 6.0, 7.0, 0.0]))
    assert (found.p, found.smallest, found.n, found.hopeless) == (0.25, 0.25, 3, True)
    assert [smallest_p(n) for n in (0, 1, 5, 6)] == [1, 1, 2 / 32, 2 / 64]
    assert smallest_p(5, "greater") == 1 / 32
    assert not sign_flip(np.arange(1.0, 7)).hopeless


@pytest.mark.parametrize("side", ["two-sided", "greater", "less"])
def test_wilcoxon_is_scipys_with_and_without_ties(side):
    x = np.random.default_rng(4).normal(0.5, 1, 11)
    assert wilcoxon(x, side).p == pytest.approx(stats.wilcoxon(x, alternative=side, method="exact").pvalue, abs=1e-12)
    tied = np.array([1.0, 1, -1, 2, 2, 3, -2, 0, 4])
    every = stats.PermutationMethod(n_resamples=np.inf)
    assert wilcoxon(tied, side).p == pytest.approx(
        stats.wilcoxon(tied, alternative=side, method=every).pvalue, abs=1e-9
    )


def test_the_bootstrap_has_the_variance_of_its_closed_form():
    """One seed, one split, groups of equal size: the variance of a drawn mean is that of the group means / G."""
    draw = np.random.default_rng(0)
    effect = draw.normal(size=12)
    b = effect.repeat(4)[None, None]
    found = hierarchical(paired(np.zeros_like(b), b, np.arange(12).repeat(4)), draws=20000)
    half = 1.96 * effect.std() / 12**0.5
    assert found.mean == pytest.approx(effect.mean(), abs=1e-12)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.04)


def test_the_bootstrap_draws_whole_groups_seeds_and_splits_together():
    """What all seeds share doesn't average out: ten copies of a seed make the interval no narrower."""
    a, b, group = scores(shape=(1, 1, 60), groups=10)
    one = hierarchical(paired(a, b, group), draws=8000)
    ten = hierarchical(paired(a.repeat(10, 0).repeat(2, 1), b.repeat(10, 0).repeat(2, 1), group), draws=8000)
    assert ten.high - ten.low == pytest.approx(one.high - one.low, rel=0.06)
    alone = hierarchical(paired(a, b), draws=8000)
    assert one.high - one.low > 1.3 * (alone.high - alone.low)


def test_the_bootstrap_p_follows_the_gain_and_the_seed():
    a, b, group = scores(gain=4.0, shape=(4, 2, 30))
    sure = hierarchical(paired(a, b, group), draws=999)
    assert sure.p_greater == 1 / 1000
    assert sure.p == 2 / 1000
    assert sure.low > 0
    assert hierarchical(paired(b, a, group), draws=999).p_greater == 1
    assert hierarchical(paired(a, b, group), draws=999) == sure


@pytest.mark.parametrize("sizes", [[3] * 9, [40, 1, 1, 1, 1, 1], [5, 4, 3, 2, 9, 1, 6]])
def test_the_degrees_of_freedom_of_smallness_are_those_of_the_groups_that_move_the_mean(sizes):
    group = np.repeat(np.arange(len(sizes)), sizes)
    draw = np.random.default_rng(1)
    a, b = draw.normal(size=(2, 3, 1, len(group)))
    pairs, d = paired(a, b, group), (b - a)[:, 0]
    share = [n / sum(sizes) for n in sizes]
    by_size = sum(s**2 for s in share) ** 2 / sum(s**4 for s in share) - 1
    left = [d[:, group != g].mean() - d.mean() for g in range(len(sizes))]
    second, fourth = sum(x**2 for x in left), sum(x**4 for x in left)
    by_moment = 2 * second**2 / (fourth - second**2 / len(sizes))
    assert fewest_df(pairs) == pytest.approx(min(1 / sum(s**2 for s in share) - 1, max(1, min(by_size, by_moment))))
    assert crossed(pairs).few_df <= crossed(pairs).df
    assert within(pairs, crossed(pairs), 2.0) >= within(pairs, replace(crossed(pairs), few_df=None), 2.0)
    uneven = crossed(replace(pairs, uneven=True))
    assert (uneven.df, uneven.few_df, uneven.se) == (crossed(pairs).few_df, crossed(pairs).few_df, crossed(pairs).se)
    assert uneven.p >= crossed(pairs).p


def test_a_margin_beyond_every_difference_is_a_margin_all_the_same():
    a, b, group = scores(groups=30)
    pairs = paired(a, b, group)
    assert within(pairs, crossed(pairs), 50.0) < 0.01
