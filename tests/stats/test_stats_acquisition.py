"""The share of samples that need the second modality: by hand, where it is known, and where the doubt says nothing."""

import numpy as np
import pytest

from multimodal_lab.stats.acquisition import SHARES, acquired, acquisition, curve, ranks

GROUPS = np.repeat(np.arange(100), 10)


def known(seed=0):
    """Both is right always, first but on the 3 of 10 samples of each group that it doubts."""
    first = np.tile(np.arange(10) >= 3, 100).astype(float)[None, None].repeat(5, 0)
    blur = np.random.default_rng(seed).random(first.shape)
    return first, np.ones_like(first), (1 - first) + 0.5 * blur


def test_the_least_sure_have_it_first_and_what_is_not_tested_never_has_it():
    first = np.array([[[0.0, 1.0, np.nan, 0.0, 1.0]]])
    both = np.array([[[1.0, 0.0, np.nan, 1.0, 1.0]]])
    rank = ranks(np.array([[[0.1, 0.9, 5.0, 0.4, 0.2]]]), first)
    assert np.array_equal(rank[0, 0], [0.75, 0.0, np.nan, 0.25, 0.5], equal_nan=True)
    given = [acquired(first, both, rank, share)[0, 0].tolist() for share in (0.0, 0.25, 0.5, 1.0)]
    assert [row[:2] + row[3:] for row in given] == [[0, 1, 0, 1], [0, 0, 0, 1], [0, 0, 1, 1], [1, 0, 1, 1]]
    assert all(np.isnan(row[2]) for row in given)


def test_a_curve_ends_at_both_arms_and_the_oracle_passes_every_order():
    draw = np.random.default_rng(1)
    first, both = ((draw.random((3, 1, 1000)) < p).astype(float) for p in (0.6, 0.8))
    found = curve(first, both, draw.random(first.shape), GROUPS)
    for line in (found.doubt, found.random, found.oracle):
        assert (line[0], line[-1]) == pytest.approx((first.mean(), both.mean()))
    assert all(o >= max(d, r) - 1e-12 for o, d, r in zip(found.oracle, found.doubt, found.random, strict=True))
    assert max(found.oracle) == pytest.approx(np.maximum(first, both).mean(), abs=0.02)
    assert [loss.mean for loss in found.loss] == pytest.approx([found.doubt[-1] - d for d in found.doubt])


def test_the_share_that_is_needed_is_found_on_groups_that_did_not_choose_it():
    found = acquisition(*known(), GROUPS, margin=0.05)
    assert found.shares == [0.3] * 5
    assert (found.small, found.loss.mean) == (True, 0.0)
    assert found.random == pytest.approx(0.7 * 0.3)
    first, both, doubt = known()
    blind = acquisition(first, both, np.random.default_rng(2).random(doubt.shape), GROUPS, margin=0.05)
    assert blind.share > 0.8
    assert blind.loss.mean == pytest.approx(0.3 * (1 - blind.share), abs=0.03)


def test_nothing_to_gain_needs_no_sample_and_few_groups_tell_nothing():
    first, both, doubt = known()
    assert acquisition(both, both, doubt, GROUPS, margin=0.05).share == 0.0
    assert acquisition(first, both, doubt, GROUPS % 3, margin=0.05) is None
    assert SHARES[0] == 0.0
    assert SHARES[-1] == 1.0
