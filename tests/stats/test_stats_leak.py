"""The leak gap's interval: what it is where it is known, and how often it holds the truth."""

import numpy as np
import pytest
from scipy import stats

from multimodal_lab.stats.crossed import crossed
from multimodal_lab.stats.leak import gap
from multimodal_lab.stats.paired import paired

GAP = 0.1


def alone(score, groups):
    return paired(np.where(np.isnan(score), np.nan, 0.0), score, groups)


def world(rng, seeds=5, splits=1, groups=40, per=4, group=0.12, seed=0.03):
    """Scores (S, R, N) on random and on grouped splits of one data set: hard groups are hard on both, seeds move both."""
    owner = np.repeat(np.arange(groups), per)
    ease, extra = rng.normal(0, group, groups)[owner], rng.normal(GAP, 0.05, groups)[owner]
    both = rng.normal(0, seed, (2, seeds, splits, 1))
    chances = np.clip([0.6 + ease + extra + both[0], 0.6 + ease + both[1]], 0, 1)
    score = (rng.random((2, seeds, splits, len(owner))) < chances).astype(float)
    for r in range(splits):
        scattered = rng.permutation(len(owner)) < len(owner) // 2
        held = np.isin(owner, rng.permutation(groups)[: groups // 2])
        score[0, :, r, ~scattered], score[1, :, r, ~held] = np.nan, np.nan
    return *score, owner


@pytest.mark.parametrize("splits", [1, 3])
def test_of_the_same_test_part_it_is_the_studys_test(splits):
    rng = np.random.default_rng(0)
    random, grouped = (
        (rng.random((4, splits, 60)) < 0.7).astype(float),
        (rng.random((4, splits, 60)) < 0.6).astype(float),
    )
    groups = np.repeat(np.arange(20), 3)
    ours, theirs = (
        gap(alone(random, groups), alone(grouped, groups), 0.5),
        crossed(paired(grouped, random, groups), 0.5),
    )
    for name, value in vars(theirs).items():
        if name in ("least", "few_df"):  # of claims that a difference is small, which no gap makes
            continue
        assert getattr(ours, name) == pytest.approx(value, rel=1e-9), name


def test_of_strangers_it_is_about_welchs_test():
    """No group in both test parts, nothing moved by seeds, groups of one sample: two independent means."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.8, 0.2, 300), rng.normal(0.6, 0.1, 200)
    score = np.full((2, 3, 1, 500), np.nan)
    score[0, :, 0, :300], score[1, :, 0, 300:] = a, b
    one = gap(alone(score[0], np.arange(500)), alone(score[1], np.arange(500)))
    welch = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    assert one.mean == pytest.approx(a.mean() - b.mean())
    assert (one.low, one.high) == pytest.approx((welch.low, welch.high), abs=0.001)


@pytest.mark.parametrize(
    "shape", [{}, {"seeds": 3}, {"group": 0.0}, {"seed": 0.0, "group": 0.2}, {"splits": 3, "seeds": 3}], ids=str
)
def test_the_interval_holds_the_truth(shape):
    rng = np.random.default_rng(2)
    held, naive = [], []
    for _ in range(200):
        random, grouped, owner = world(rng, **shape)
        one = gap(alone(random, owner), alone(grouped, owner), 1.0)
        held.append(one.low <= GAP <= one.high)
        by_seed = np.nanmean(random, axis=(1, 2)) - np.nanmean(grouped, axis=(1, 2))
        reach = stats.t.ppf(0.975, len(by_seed) - 1) * by_seed.std(ddof=1) / len(by_seed) ** 0.5
        naive.append(abs(by_seed.mean() - GAP) <= reach)
    assert np.mean(held) >= 0.93
    if shape.get("group", 1):
        assert np.mean(naive) < np.mean(held)  # a t-test over seeds takes these groups for all


def test_what_can_not_be_told():
    rng = np.random.default_rng(3)
    random, grouped, owner = world(rng)
    assert np.isinf(gap(alone(random[:1], owner), alone(grouped[:1], owner)).high)
    with pytest.raises(ValueError, match=r"\(5, 1\) and \(4, 1\) seeds and splits"):
        gap(alone(random, owner), alone(grouped[:4], owner))
    random, grouped, owner = world(rng, splits=2)
    with pytest.raises(ValueError, match="expected test_per_train"):
        gap(alone(random, owner), alone(grouped, owner))
