import numpy as np
import pytest

from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.statistics import Covariance, Moments

RNG = np.random.default_rng(0)
PARTS = [RNG.normal(5 * i, 1 + i, (3, n)) for i, n in enumerate((1, 7, 100))]


def test_moments_are_those_of_all_values_at_once():
    moments = Moments()
    for part in PARTS:
        moments.add(part)
    together = np.concatenate(PARTS, 1)
    mean, std = moments.result("x")
    assert np.allclose(mean, together.mean(1), rtol=1e-13)
    assert np.allclose(std, together.std(1), rtol=1e-13)


def test_moments_hold_their_precision_far_from_zero():
    moments = Moments()
    values = RNG.normal(0, 1e-3, (1, 4000))
    for part in np.array_split(values + 1e6, 40, 1):
        moments.add(part)
    assert moments.result("x")[1][0] == pytest.approx(values.std(), rel=1e-6)


def test_nothing_and_constants_are_refused_by_name():
    with pytest.raises(DataError, match="stream x"):
        Moments().result("stream x")
    moments = Moments()
    moments.add(np.array([[1.0, 2.0], [3.0, 3.0]]))
    with pytest.raises(DataError, match=r"band B is constant \(3\)"):
        moments.result("stream x", ("A", "B"))


def test_components_are_those_of_numpy():
    covariance = Covariance()
    for part in PARTS:
        covariance.add(part)
    together = np.concatenate(PARTS, 1)
    mean, found = covariance.components(2, "x")
    vectors = np.linalg.svd(together - together.mean(1, keepdims=True))[0][:, :2].T
    assert np.allclose(mean, together.mean(1))
    assert np.allclose(np.abs((found * vectors).sum(1)), 1, atol=1e-9)
    assert (found[np.arange(2), np.abs(found).argmax(1)] > 0).all()
    with pytest.raises(DataError, match="at most 3"):
        covariance.components(4, "x")
