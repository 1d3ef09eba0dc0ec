"""How a label's information is divided, where what varies most in a space has nothing to do with the label."""

import numpy as np
import pytest

from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.stats.pid import estimate
from multimodal_lab.study import alike


def space(signal, n=1200):
    """Eight far clusters of no meaning, and a label that one small direction tells (or doesn't)."""
    draw = np.random.default_rng([n, signal])
    label = np.random.default_rng(0).integers(0, 2, n)
    x = draw.normal(size=(8, 12))[draw.integers(0, 8, n)] * 10 + draw.normal(size=(n, 12))
    x[:, 0] = (2 * label - 1) * signal + 0.3 * draw.normal(size=n)
    whole, split = np.ones(n, bool), np.where(np.arange(n) < n // 2, "train", "test")
    return Embeddings({"x": x}, {"x": whole}, {"sex": label}, {"sex": ["f", "m"]}, [f"{i:04d}" for i in range(n)],
                      np.arange(n), split)  # fmt: skip


@pytest.mark.parametrize(("signals", "part"), [((1, 0), "unique1"), ((0, 1), "unique2"), ((1, 1), "redundant")])
def test_codes_keep_the_label_whatever_else_varies(signals, part):
    spaces = [space(s) for s in signals]
    first, second = (alike._codes(e.select("train"), e.select("test"), "sex") for e in spaces)
    found = estimate(first, second, spaces[0].select("test").targets["sex"])
    assert getattr(found, part) > 0.8
    assert getattr(found, part) > 0.8 * found.total


def test_halves_of_the_groups_must_hold_enough_samples():
    assert alike._enough(np.arange(8))
    assert not alike._enough(np.arange(7))
    assert not alike._enough(np.repeat([0, 1, 2], 50))
    assert alike._enough(np.repeat([0, 1, 2, 3], 2))
