import json

import numpy as np
import pytest

from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams import scaling

RNG = np.random.default_rng(0)
X = RNG.integers(0, 60000, (3, 5, 4)).astype(np.uint16)
MASK = RNG.random((5, 4)) > 0.4
PIXELS = [X[:, MASK], (X // 2)[:, MASK]]
ALL = [
    scaling.DtypeMax(),
    scaling.NoScaling(),
    scaling.FixedRange(low=0, high=60000),
    scaling.Percentile(),
    scaling.DatasetStats(),
    scaling.PerImageMinMax(over="image"),
    scaling.PerImageMinMax(over="band"),
    scaling.PerPixelStandardise(),
]


@pytest.mark.parametrize("policy", ALL, ids=lambda p: type(p).__name__)
def test_float32_of_the_same_shape_with_facts_that_survive_json(policy):
    facts = policy.fit(iter(PIXELS))
    made = policy.apply(X, MASK, 65535.0, json.loads(json.dumps(facts)))
    assert made.dtype == np.float32
    assert made.shape == X.shape
    assert np.array_equal(made, policy.apply(X, MASK, 65535.0, facts))
    assert policy.apply(X[:, 0, 0], None, 65535.0, facts).shape == (3,)


def test_dtype_max_keeps_ratios():
    made = scaling.DtypeMax().apply(X, MASK, 65535.0, {})
    assert np.allclose(made * 65535, X, rtol=1e-6)


def test_fixed_range_is_affine_and_cuts_only_when_asked():
    x = np.array([10.0, 20.0, 40.0], dtype=np.float32)
    assert scaling.FixedRange(low=10, high=30).apply(x, None, 1.0, {}).tolist() == [0, 0.5, 1.5]
    assert scaling.FixedRange(low=10, high=30, clip=True).apply(x, None, 1.0, {}).tolist() == [0, 0.5, 1]


def test_percentile_is_numpys_over_all_pixels():
    policy = scaling.Percentile(low=5, high=95)
    facts = policy.fit(iter(PIXELS))
    low, high = np.percentile(np.concatenate(PIXELS, 1), [5, 95], axis=1)
    expected = (X - low[:, None, None]) / (high - low)[:, None, None]
    assert np.allclose(policy.apply(X, MASK, 65535.0, facts), expected, atol=1e-6)


def test_percentile_keeps_at_most_the_asked_pixels():
    policy = scaling.Percentile(low=0, high=100, pixels_per_sample=3)
    assert policy.fit([np.arange(10.0)[None]]) == {"low": [0.0], "high": [8.0]}


def test_dataset_stats_is_the_z_score_of_the_pixels():
    policy = scaling.DatasetStats()
    together = np.concatenate(PIXELS, 1).astype(float)
    made = policy.apply(X, MASK, 65535.0, policy.fit(iter(PIXELS)))
    expected = (X - together.mean(1)[:, None, None]) / together.std(1)[:, None, None]
    assert np.allclose(made, expected, atol=1e-5)


def test_per_image_minmax_looks_inside_the_mask_only():
    bright = X.copy()
    bright[:, ~MASK] = 65535
    for over, axis in (("image", (0, 1)), ("band", (1,))):
        policy = scaling.PerImageMinMax(over=over)
        made = policy.apply(bright, MASK, 65535.0, {})[:, MASK]
        assert np.allclose(made.min(axis), 0)
        assert np.allclose(made.max(axis), 1)
    assert not scaling.PerImageMinMax().apply(np.full((2, 3, 3), 7), None, 1.0, {}).any()


def test_per_pixel_standardise_forgets_brightness():
    policy = scaling.PerPixelStandardise()
    made = policy.apply(X, MASK, 65535.0, {})
    assert np.allclose(made.mean(0), 0, atol=1e-5)
    assert np.allclose(policy.apply(X * 0.5, MASK, 1.0, {}), made, atol=1e-5)
    with pytest.raises(DataError, match="two bands"):
        policy.apply(X[:1], MASK, 1.0, {})


def test_policies_that_learn_nothing_read_nothing():
    def never():
        raise AssertionError
        yield

    for policy in (scaling.DtypeMax(), scaling.NoScaling(), scaling.FixedRange(), scaling.PerImageMinMax()):
        assert policy.fit(never()) == {}


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: scaling.FixedRange(low=1, high=1),
        lambda: scaling.Percentile(low=60, high=40),
        lambda: scaling.Percentile().fit([np.zeros((2, 9))]),
        lambda: scaling.DatasetStats().fit([np.zeros((2, 9))]),
    ],
)
def test_impossible_ranges_are_refused(wrong):
    with pytest.raises(DataError, match=r"data\.scaling"):
        wrong()
