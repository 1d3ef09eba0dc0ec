"""The interval of a difference of areas under curves, by its formula and near 1."""

import math

import numpy as np
import pytest
from scipy import stats

from multimodal_lab.stats.crossed import Crossed
from multimodal_lab.stats.equivalence import tost
from multimodal_lab.stats.mover import beyond, mover


def score(mean, se, df=20.0):
    return Crossed(mean, se, df, 1.0, mean, mean, 5, 1, 21, se**2, 0.0)


def plainly(a, sa, b, sb, sd, df, level):
    """Zou & Donner 2008, with own intervals symmetric in log(x / (1 - x))."""
    t = stats.t.ppf((1 + level) / 2, df)
    ends = []
    for m, s in ((a, sa), (b, sb)):
        at, step = math.log(m / (1 - m)), t * s / (m * (1 - m))
        ends.append([1 / (1 + math.exp(-at + step)), 1 / (1 + math.exp(-at - step))])
    (la, ua), (lb, ub) = ends
    r = (sa**2 + sb**2 - sd**2) / (2 * sa * sb)
    below = math.sqrt((b - lb) ** 2 + (ua - a) ** 2 - 2 * r * (b - lb) * (ua - a))
    above = math.sqrt((ub - b) ** 2 + (a - la) ** 2 - 2 * r * (ub - b) * (a - la))
    return b - a - below, b - a + above


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_it_is_the_formula(level):
    found = mover(score(0.91, 0.02), score(0.96, 0.015), score(0.05, 0.018), level)
    assert found == pytest.approx(plainly(0.91, 0.02, 0.96, 0.015, 0.018, 20, level))


def test_in_the_middle_it_is_the_usual_interval_and_near_one_a_longer_one():
    usual = tost(0.02, 0.01, 20.0, 0.1, 0.025)
    middle = mover(score(0.50, 0.012), score(0.52, 0.012), score(0.02, 0.01), 0.95)
    assert middle == pytest.approx((usual.low, usual.high), abs=2e-4)
    near = mover(score(0.96, 0.012), score(0.98, 0.012), score(0.02, 0.01), 0.95)
    assert near[1] - near[0] > 1.1 * (usual.high - usual.low)


def test_the_p_of_the_margin_is_that_of_the_interval_that_touches_it():
    parts = score(0.5, 0.012), score(0.51, 0.012), score(0.01, 0.01)
    p = beyond(lambda level: mover(*parts, level), 0.03)
    assert max(abs(x) for x in mover(*parts, 1 - 2 * p)) == pytest.approx(0.03, abs=1e-5)
    assert beyond(lambda level: mover(*parts, level), 0.005) == 1.0


def test_nothing_is_known_of_one_seed_and_of_a_score_of_one_its_t_interval():
    inf = float("inf")
    assert mover(score(0.9, inf), score(0.9, inf), score(0.0, inf), 0.95) == (-inf, inf)
    assert np.isfinite(mover(score(1.0, 0.0), score(0.98, 0.01), score(-0.02, 0.01), 0.95)).all()
