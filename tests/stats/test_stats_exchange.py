"""Nulls hold where samples come in groups that have effects of their own: whole groups are exchanged."""

import numpy as np
import pytest
from scipy.stats import t as student

from multimodal_lab.stats.exchange import LEAST, Exchange, thinned, too_few
from multimodal_lab.stats.joint import spread, together
from multimodal_lab.stats.overlap import measures, overlap
from multimodal_lab.stats.pid import estimate, resampled_estimate
from multimodal_lab.stats.resample import Through, resampled
from multimodal_lab.stats.sphere import alignment, gap_squared, modality_gap, uniformity, unit

UNEQUAL = np.repeat(np.arange(20), [9, 9, 8, 8, 8, 7, 7, 6, 6, 5, 5, 5, 4, 4, 3, 3, 2, 1, 1, 1])
EQUAL = np.repeat(np.arange(20), 5)


def effects(draw, groups, width=6):
    """A space (N, width) in which samples of a group are alike."""
    return draw.normal(size=(groups.max() + 1, width))[groups] + 0.3 * draw.normal(size=(len(groups), width))


@pytest.mark.parametrize("groups", [EQUAL, UNEQUAL], ids=["equal", "unequal"])
def test_independent_spaces_with_group_effects_are_rarely_told_alike(groups):
    draw, low = np.random.default_rng(0), dict.fromkeys(measures(), 0)
    for seed in range(20):
        x, y = effects(draw, groups), effects(draw, groups)
        for name, one in overlap(x, y, groups, intervals=False, permutations=19, seed=seed).items():
            low[name] += one.p <= 0.05
    assert all(count <= 4 for count in low.values()), low


@pytest.mark.parametrize("groups", [EQUAL, UNEQUAL], ids=["equal", "unequal"])
def test_related_spaces_with_group_effects_are_told_alike(groups):
    draw = np.random.default_rng(0)
    x = effects(draw, groups)
    found = overlap(x, x @ draw.normal(size=(6, 6)), groups, intervals=False, permutations=39)
    assert all(one.p == 1 / 40 for one in found.values()), found


def test_information_of_noise_with_group_effects_is_none():
    """Three codes each of which is nearly constant in a group; bits by the mean of five runs."""
    draw, groups, by_group, by_row = np.random.default_rng(0), np.repeat(np.arange(60), 5), [], []
    for _ in range(5):
        x1, x2, y = (np.where(draw.random(300) < 0.1, draw.integers(0, k, 300), draw.integers(0, k, 60)[groups])
                     for k in (4, 4, 3))  # fmt: skip
        by_group.append(estimate(x1, x2, y, groups=groups).total)
        by_row.append(estimate(x1, x2, y).total)
    assert np.mean(by_group) < 0.1, by_group
    assert np.mean(by_row) > 0.2, by_row
    found = resampled_estimate(x1, x2, y, groups, permutations=19)
    assert sum(one.value for one in found.values()) < 0.2


def test_groups_of_one_are_rows():
    draws = [np.random.default_rng(3).permutation(30) for _ in range(2)]
    assert (Exchange(np.random.default_rng(0).permutation(30)).draw(np.random.default_rng(3)) == draws[0]).all()


def test_groups_of_one_size_trade_places_whole_and_in_order():
    groups = np.random.default_rng(1).permutation(np.repeat(np.arange(9), 4))
    exchange = Exchange(groups)
    assert (exchange.rows == np.arange(36)).all()
    moved = exchange.draw(np.random.default_rng(0))
    assert sorted(moved) == list(range(36))
    assert any(groups[moved] != groups)
    for g in range(9):
        came = moved[groups == g]
        assert (came == np.flatnonzero(groups == groups[came[0]])).all()


def test_groups_of_rare_sizes_are_cut_to_a_size_that_seven_have():
    exchange = Exchange(UNEQUAL)
    assert np.bincount(UNEQUAL[exchange.rows], minlength=20).tolist() == [7] * 7 + [4] * 7 + [0] * 6
    moved = exchange.draw(np.random.default_rng(0))
    assert sorted(moved) == exchange.rows.tolist()
    assert len(set(zip(UNEQUAL[exchange.rows].tolist(), UNEQUAL[moved].tolist()))) == 14


def test_too_few_groups_have_no_p_and_say_why():
    groups, draw = np.repeat(np.arange(LEAST - 1), 10), np.random.default_rng(0)
    x, y = effects(draw, groups), effects(draw, groups)
    found = resampled(measures()["linear_cka"].of, x, y, groups)
    assert np.isnan([found.p, found.null, found.low, found.high]).all()
    assert found.value > -1
    assert too_few(6).startswith("6 groups, expected 7 or more")
    assert too_few(7) == ""
    code = (x[:, 0] > 0).astype(int)
    assert all(np.isnan(one.value) for one in resampled_estimate(code, code, code, groups).values())
    with pytest.raises(ValueError, match="6 groups"):
        estimate(code, code, code, groups=groups)


@pytest.mark.parametrize("name", ["linear_cka", "kernel_cka", "rsa"])
def test_matrices_of_the_rows_that_take_part_give_the_same(name):
    draw = np.random.default_rng(1)
    x, y, one = effects(draw, UNEQUAL), effects(draw, UNEQUAL), measures()[name].of
    assert isinstance(one, Through)
    known = resampled(lambda a, b, index: one(a, b, index), x, y, UNEQUAL, permutations=9)
    found = resampled(one, x, y, UNEQUAL, permutations=9)
    assert (found.p, found.n) == (known.p, known.n)
    assert [found.null, found.low, found.high] == pytest.approx([known.null, known.low, known.high], abs=1e-12)


def test_rows_are_drawn_as_many_a_group():
    assert np.bincount(EQUAL[thinned(EQUAL, 47)]).tolist() == [2] * 20
    assert len(np.unique(EQUAL[thinned(EQUAL, 12)])) == len(thinned(EQUAL, 12)) == 12
    assert (thinned(EQUAL, 100) == np.arange(100)).all()
    alone = np.arange(50)
    assert (thinned(alone, 20, 1) == np.sort(np.random.default_rng(1).permutation(50)[:20])).all()


def test_the_spread_of_one_space_has_an_interval():
    x = effects(np.random.default_rng(0), EQUAL)
    found = spread(x, EQUAL)
    assert found.value == pytest.approx(uniformity(x, EQUAL), abs=1e-12)
    assert found.low < found.value < found.high < 0
    assert np.isnan([found.p, found.null]).all()


def test_gap_and_alignment_of_one_space():
    draw = np.random.default_rng(0)
    x = effects(draw, EQUAL)
    y = x + 0.3 * draw.normal(size=x.shape)
    near, far = together(x, y, EQUAL, permutations=39), together(x, y + 1, EQUAL, permutations=39)
    assert near["alignment"].value == pytest.approx(alignment(x, y), abs=1e-12)
    assert near["alignment"].p == 1 / 40
    assert near["alignment"].low < near["alignment"].value < near["alignment"].high < near["alignment"].null
    assert far["modality_gap"].value == pytest.approx(gap_squared(x, y + 1, EQUAL) ** 0.5, abs=1e-12)
    assert far["modality_gap"].value < modality_gap(x, y + 1)
    assert far["modality_gap"].p == 1 / 40
    assert near["modality_gap"].p > 0.05
    assert near["modality_gap"].low == 0
    apart = np.stack([(unit(x)[g == EQUAL] - unit(y + 1)[g == EQUAL]).mean(0) for g in range(20)])
    centre, spread_of = apart.mean(0), np.cov(apart.T) / 20
    for end in (far["modality_gap"].low, far["modality_gap"].high):
        variance = 4 * end**2 * (centre @ spread_of @ centre) / (centre @ centre) + 2 * np.trace(spread_of @ spread_of)
        off = abs(end**2 - far["modality_gap"].value ** 2)
        assert off == pytest.approx(student.ppf(0.975, 19) * variance**0.5, rel=1e-9)
    assert near["modality_gap"].null < 0.2 < far["modality_gap"].low
