from itertools import permutations

import numpy as np
import pytest
from scipy.stats import t as student

from multimodal_lab.stats.broja import decompose
from multimodal_lab.stats.pid import codes, estimate, resampled_estimate
from multimodal_lab.stats.resample import resampled_together

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
    found = parts(estimate(*dialled(errors, seed=dial)))
    assert np.argsort(found).tolist() == np.argsort([bits(e) for e in errors]).tolist()
    assert found == pytest.approx([bits(e) for e in errors], abs=0.08)


def test_the_bias_of_a_small_sample_is_taken_off():
    draw = np.random.default_rng(0)
    x1, x2, y = draw.integers(0, 6, (3, 300))
    table = np.zeros((6, 6, 6))
    np.add.at(table, (x1, x2, y), 1 / 300)
    assert decompose(table).total > 0.4
    assert estimate(x1, x2, y).total < 0.15
    with pytest.raises(ValueError, match="300, 300, 10 samples"):
        estimate(x1, x2, y[:10])


@pytest.mark.parametrize(("gate", "known"), [("and", 0.5), ("xor", 1.0)])
def test_the_correction_leaves_the_synergy_that_is_there(gate, known):
    """200 samples, codes with three values of four of no meaning: 64 pairs, three samples each."""
    draw, found = np.random.default_rng(0), []
    for _ in range(10):
        a, b = draw.integers(0, 2, (2, 200))
        noise = draw.integers(0, 4, (2, 200)) * 2
        found.append(estimate(a + noise[0], b + noise[1], KNOWN[gate][0](a, b)[2]).synergy)
    assert np.mean(found) == pytest.approx(known, abs=0.05)


def test_the_corrected_estimate_is_the_jackknife_by_hand():
    """Twelve groups of unequal size, one left out at a time."""
    draw = np.random.default_rng(0)
    x1, x2, y = draw.integers(0, 2, (3, 60))
    groups = np.concatenate([np.arange(12), draw.integers(0, 12, 48)])

    def synergy(rows):
        table = np.zeros((2, 2, 2))
        np.add.at(table, (x1[rows], x2[rows], y[rows]), 1 / rows.sum())
        return decompose(table, 500, 1e-5).synergy

    whole = synergy(groups >= 0)
    left = np.array([synergy(groups != g) for g in range(12)])
    corrected = 12 * whole - 11 * left.mean()
    se = (11 / 12 * ((left - left.mean()) ** 2).sum() + (whole - corrected) ** 2) ** 0.5
    found = resampled_estimate(x1, x2, y, groups, permutations=0)["synergy"]
    assert found.value == pytest.approx(max(0, corrected), abs=1e-9)
    told = resampled_together(
        lambda samples: [np.array([synergy_of(a, b)]) for a, b, _ in samples],
        np.stack([x1, x2], 1), y[:, None], groups, corrected=True, permutations=0,
    )[0]  # fmt: skip
    assert told.value == pytest.approx(corrected, abs=1e-9)
    assert told.high - told.value == pytest.approx(student.ppf(0.975, 11) * se, abs=1e-9)


def synergy_of(codes, label):
    table = np.zeros((2, 2, 2))
    np.add.at(table, (*codes.astype(int).T, label[:, 0].astype(int)), 1 / len(label))
    return decompose(table, 500, 1e-5).synergy


def test_each_part_has_its_null_and_its_interval_where_pairs_of_codes_are_not_too_rare():
    x1, x2, label = dialled((0.02, 0.49, 0.49, 0.2), n=800)
    found = resampled_estimate(x1, x2, label % 2, permutations=19)
    assert list(found) == list(PARTS)
    assert found["redundant"].low < bits(0.02) < found["redundant"].high < bits(0.02) + 0.2
    assert found["redundant"].p == 0.05
    assert found["unique1"].low == found["unique2"].low == 0
    one, edge = found["redundant"], max(found["unique1"].value, found["unique2"].value)
    assert one.high - one.value == pytest.approx(one.value - one.low + edge, abs=1e-9)
    few = resampled_estimate(x1[:600], x2[:600], label[:600] % 2, permutations=0)
    assert np.isnan([v for one in few.values() for v in (one.low, one.high)]).all()
    assert few["redundant"].value == pytest.approx(bits(0.02), abs=0.1)


def test_codes_are_learnt_on_train_and_keep_what_a_space_tells():
    draw = np.random.default_rng(0)
    label = draw.integers(0, 4, 400)
    x = np.eye(4)[label] @ draw.normal(size=(4, 20)) * 3 + draw.normal(size=(400, 20)) * 0.3
    found = codes(x[:200], x[200:], 4)
    assert found.shape == (200,)
    assert len({(a, b) for a, b in zip(found, label[200:])}) == 4
    assert (codes(x[:200], x[200:210], 4) == found[:10]).all()
