"""Few groups that differ, or none, are no proof that none would."""

import numpy as np
import pytest
from scipy import stats

from multimodal_lab.stats.crossed import crossed
from multimodal_lab.stats.equivalence import equivalence, tost
from multimodal_lab.stats.paired import paired, stratified
from multimodal_lab.stats.rare import least_se


def scores(groups, lost=(), seeds=3):
    """A perfect arm, and a baseline that is wrong on the samples `lost`."""
    fused = np.ones((seeds, 1, groups))
    baseline = fused.copy()
    baseline[:, :, list(lost)] = 0
    return paired(baseline, fused)


@pytest.mark.parametrize("groups", [2, 20, 100, 140])
def test_arms_that_agree_on_few_samples_are_not_shown_to_be_equal(groups):
    found = crossed(scores(groups))
    assert found.se == 0
    assert found.p == 1
    assert tost(found.mean, found.se, found.df, 0.02).shown
    assert not equivalence(scores(groups), found, 0.02).shown


def test_where_nothing_differs_it_is_near_the_rule_of_three():
    assert 3 / 150 == 0.02
    assert equivalence(scores(160), crossed(scores(160)), 0.02).shown
    groups = 1000
    assert least_se(scores(groups)) * stats.norm.ppf(0.95) == pytest.approx(3 / groups, rel=0.06)


def test_the_bound_of_few_that_differ_is_that_of_their_number():
    k, groups = 3, 200
    pairs = scores(groups, range(k))
    most = groups * stats.beta.ppf(0.95, k + 1, groups - k)
    own = np.where(np.arange(groups) < k, 1 / groups, 0) - k / groups / groups
    assert least_se(pairs) == pytest.approx((most / k * (own**2).sum()) ** 0.5, rel=1e-12)
    assert crossed(pairs).se < least_se(pairs)


def test_where_all_groups_differ_the_floor_is_their_own_spread():
    make = np.random.default_rng(0)
    pairs = paired(make.normal(size=(4, 1, 50)), make.normal(size=(4, 1, 50)))
    assert least_se(pairs) == pytest.approx(((pairs.by_group - pairs.mean * pairs.shares) ** 2).sum() ** 0.5)
    assert crossed(pairs).cautious.se >= crossed(pairs).least


def test_the_floor_of_a_score_over_classes_has_the_degrees_of_freedom_of_all_groups():
    """One class of four differs, in one of its three groups: the floor is of all twelve, whose t it takes."""
    groups, each = np.arange(12), np.zeros((3, 1, 12))
    arm = each.copy()
    arm[:, :, 0] = 1
    plain = paired(each, arm)
    pairs = stratified(plain, each, arm, groups, groups // 3, lambda classes: 1 / classes)
    found = crossed(pairs)
    assert found.df == pytest.approx(2)
    assert found.se < found.least
    wide = found.widened()
    assert wide.high - found.mean == pytest.approx(found.least * stats.t.ppf(0.975, 11))
    alone = crossed(plain)
    assert alone.widened().high - alone.mean == pytest.approx(alone.least * stats.t.ppf(0.975, alone.df))


def test_a_gain_on_every_one_of_two_samples_is_not_sure():
    found = crossed(scores(2, (0, 1)))
    assert found.mean == 1
    assert found.p == pytest.approx(0.5)
    assert crossed(scores(8, range(8))).p == pytest.approx(2.0**-7)
