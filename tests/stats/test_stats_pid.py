from itertools import permutations

import numpy as np
import pytest

from multimodal_lab.stats.broja import decompose
from multimodal_lab.stats.pid import codes, estimate, resampled_estimate

NOISE = (0.02, 0.11, 0.2, 0.33)
PARTS = ("redundant", "unique1", "unique2", "synergy")
KNOWN = {
    "copy": (lambda a, b: (a, a, a), (1, 0, 0, 0)),
    "one each": (lambda a, b: (a, b, 2 * a + b), (0, 1, 1, 0)),
    "first alone": (lambda a, b: (a, b, a), (0, 1, 0, 0)),
    "xor": (lambda a, b: (a, b, a ^ b), (0, 0, 0, 1)),
    "and": (lambda a, b: (a, b, a & b), (0.311278, 0, 0, 0.5)),
}


def parts(found):
    return [getattr(found, part) for part in PARTS]


def bits(error):
    return 1 + error * np.log2(error) + (1 - error) * np.log2(1 - error)


def dialled(errors, n=3000, seed=0):
    """A label of four bits, each told through noise: by both modalities alike, by one, by the other, by their xor."""
    draw = np.random.default_rng(seed)
    label, key = draw.integers(0, 2, (4, n)), draw.integers(0, 2, n)
    both, one, two, xor = label ^ (draw.random((4, n)) < np.array(errors)[:, None])
    return both + 2 * one + 4 * key, both + 2 * two + 4 * (key ^ xor), label.T @ [1, 2, 4, 8]


@pytest.mark.parametrize("name", KNOWN)
def test_the_gates_of_the_paper(name):
    gate, known = KNOWN[name]
    p = np.zeros((2, 2, 4))
    for a in range(2):
        for b in range(2):
            p[gate(a, b)] += 0.25
    assert parts(decompose(p)) == pytest.approx(known, abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_a_grid_over_all_tables_with_these_pairs_finds_the_same_minimum(seed):
    """Two by two: a table with p's pairs is p_y + t_y [[1, -1], [-1, 1]], one free number for each label."""
    p = np.random.default_rng(seed).dirichlet(np.ones(8)).reshape(2, 2, 2)
    turn = np.array([[1, -1], [-1, 1]])
    shifts = [np.linspace(-min(v[0, 0], v[1, 1]), min(v[0, 1], v[1, 0]), 801) for v in (p[:, :, 0], p[:, :, 1])]
    t = np.stack(np.meshgrid(*shifts), -1).reshape(-1, 1, 1, 2)

    def told(q):
        q = np.clip(q, 1e-15, 1)
        return (q * np.log2(q / (q.sum(3, keepdims=True) * p.sum((0, 1))))).sum((1, 2, 3))

    found, whole = decompose(p), told(p[None])[0]
    assert found.synergy == pytest.approx(whole - told(p + t * turn[:, :, None]).min(), abs=1e-4)
    assert found.total == pytest.approx(whole, abs=1e-9)


def test_swapping_the_modalities_swaps_the_unique_parts():
    p = np.random.default_rng(0).dirichlet(np.ones(18)).reshape(3, 3, 2)
    one, two = decompose(p), decompose(p.swapaxes(0, 1))
    assert (one.unique1, one.unique2) == pytest.approx((two.unique2, two.unique1), abs=1e-4)
    with pytest.raises(ValueError, match="expected a distribution"):
        decompose(2 * p)


@pytest.mark.parametrize("dial", range(10))
def test_ten_dialled_truths_are_ranked_right(dial):
    errors = list(permutations(NOISE))[2 * dial]
    found = parts(estimate(*dialled(errors, seed=dial), permutations=3))
    assert np.argsort(found).tolist() == np.argsort([bits(e) for e in errors]).tolist()
    assert found == pytest.approx([bits(e) for e in errors], abs=0.08)


def test_the_bias_of_a_small_sample_is_taken_off():
    draw = np.random.default_rng(0)
    x1, x2, y = draw.integers(0, 6, (3, 300))
    raw, found = estimate(x1, x2, y, permutations=0), estimate(x1, x2, y)
    assert raw.total > 0.4
    assert found.total < 0.1
    with pytest.raises(ValueError, match="300, 300, 10 samples"):
        estimate(x1, x2, y[:10])


def test_each_part_has_its_null():
    found = resampled_estimate(*dialled((0.02, 0.49, 0.49, 0.2), n=800), permutations=19)
    assert list(found) == list(PARTS)
    assert found["redundant"].p == found["synergy"].p == 0.05
    assert found["unique1"].value < 0.15
    assert found["redundant"].value == pytest.approx(bits(0.02), abs=0.1)
    assert np.isnan([one.low for one in found.values()]).all()


def test_codes_are_learnt_on_train_and_keep_what_a_space_tells():
    draw = np.random.default_rng(0)
    label = draw.integers(0, 4, 400)
    x = np.eye(4)[label] @ draw.normal(size=(4, 20)) * 3 + draw.normal(size=(400, 20)) * 0.3
    found = codes(x[:200], x[200:], 4)
    assert found.shape == (200,)
    assert len({(a, b) for a, b in zip(found, label[200:])}) == 4
    assert (codes(x[:200], x[200:210], 4) == found[:10]).all()
