from itertools import permutations

import numpy as np
import pytest

from multimodal_lab.stats.shapley import interactions, missing_curve, shapley, subsets


def made(names, seed=0):
    draw = np.random.default_rng(seed)
    return {s: float(draw.random()) for s in subsets(names)}


def test_subsets_go_by_size_and_then_by_the_order_of_the_names():
    assert [sorted(s) for s in subsets(["uv", "rgb"])] == [["uv"], ["rgb"], ["rgb", "uv"]]
    assert len(subsets("abcde")) == 31
    with pytest.raises(ValueError, match="not distinct"):
        subsets(["a", "a"])


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_shapley_is_the_mean_gain_over_all_orders(count):
    names = "abcde"[:count]
    scores = made(names)
    value = {**scores, frozenset(): 0.2}
    gains = {n: [] for n in names}
    for order in permutations(names):
        for i, n in enumerate(order):
            gains[n].append(value[frozenset(order[: i + 1])] - value[frozenset(order[:i])])
    found = shapley(scores, 0.2)
    assert found == pytest.approx({n: np.mean(g) for n, g in gains.items()}, abs=1e-12)
    assert sum(found.values()) == pytest.approx(scores[frozenset(names)] - 0.2, abs=1e-9)


def test_interactions_of_two_and_of_an_xor():
    a, b = frozenset("a"), frozenset("b")
    assert interactions({a: 0.5, b: 0.6, a | b: 0.9}, 0.25)["a", "b"] == pytest.approx(0.9 - 0.5 - 0.6 + 0.25)
    xor = {s: float(s >= {"a", "b"}) for s in subsets("abc")}
    found = interactions(xor, 0.0)
    assert found == pytest.approx({("a", "b"): 1, ("a", "c"): 0, ("b", "c"): 0})
    assert interactions(made("abc"), 0.1, 1) == {(n,): v for n, v in shapley(made("abc"), 0.1).items()}


def test_an_interaction_is_the_gain_of_a_beside_b_less_the_gain_without():
    """For three: the mean of the second difference without c and with it (weights 1/2, 1/2)."""
    scores = made("abc")
    value = {**scores, frozenset(): 0.1}

    def second(base):
        rest = frozenset(base)
        return value[rest | {"a", "b"}] - value[rest | {"a"}] - value[rest | {"b"}] + value[rest]

    assert interactions(scores, 0.1)["a", "b"] == pytest.approx((second("") + second("c")) / 2, abs=1e-12)


def test_the_missing_modality_curve():
    a, b = frozenset("a"), frozenset("b")
    curve = missing_curve({a: 0.5, b: 0.7, a | b: 0.9}, 0.25)
    assert curve == [(0, 0.25, 0.25, 0.25), (1, pytest.approx(0.6), 0.5, 0.7), (2, 0.9, 0.9, 0.9)]


def test_missing_subsets_and_wrong_orders_are_named():
    with pytest.raises(ValueError, match="missing \\['a \\+ b'\\]"):
        shapley({frozenset("a"): 1.0, frozenset("b"): 1.0}, 0)
    with pytest.raises(ValueError, match="expected all 0"):
        shapley({}, 0)
    with pytest.raises(ValueError, match="order=3, expected 1 to 2"):
        interactions(made("ab"), 0, 3)
