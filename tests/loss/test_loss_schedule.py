"""Learned numbers and schedules."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from multimodal_lab.loss.schedule import FreeScalar, LearnedScalar, LinearSchedule


def test_learned_starts_at_init_and_learns_its_log():
    knob = LearnedScalar(0.07, low=0.01, high=1.0)
    value = knob(0.3)
    assert value.item() == pytest.approx(0.07, rel=1e-6)
    (3 * value).backward()
    assert knob.log.grad.item() == pytest.approx(3 * 0.07, rel=1e-6)


@given(st.floats(-1e4, 1e4))
def test_learned_stays_positive_and_within_its_bounds(log):
    knob = LearnedScalar(0.07, low=0.01, high=1.0)
    with torch.no_grad():
        knob.log.fill_(log)
    assert 0.00999 <= knob(0.0).item() <= 1.00001


@pytest.mark.parametrize(("push", "bound"), [(1, 0.01), (-1, 1.0)])
def test_a_number_pushed_to_its_bound_comes_back(push, bound):
    knob = LearnedScalar(0.07, low=0.01, high=1.0)
    optimiser = torch.optim.SGD(knob.parameters(), lr=1.0)

    def step(sign):
        optimiser.zero_grad()
        (sign * knob(0.0)).backward()
        optimiser.step()
        return knob(0.0).item()

    for _ in range(500):
        held = step(push)
    assert held == pytest.approx(bound, rel=1e-5)
    for _ in range(5):
        back = step(-push)
    assert abs(math.log(back / bound)) > 0.03


def test_learned_refuses_bounds_without_its_init():
    for init, low, high in [(0.001, 0.01, 1.0), (2.0, 0.01, 1.0), (0.1, 0.0, 1.0)]:
        with pytest.raises(ValueError, match="0 < low <= init <= high"):
            LearnedScalar(init, low, high)


def test_free_is_a_parameter_of_any_sign():
    knob = FreeScalar(-10.0)
    knob(0.0).backward()
    assert knob(0.5).item() == -10
    assert knob.value.grad == 1


def test_a_schedule_runs_from_start_to_end():
    knob = LinearSchedule(0.2, 0.8)
    values = [knob(p / 10) for p in range(11)]
    assert values[0] == pytest.approx(0.2)
    assert values[5] == pytest.approx(0.5)
    assert values[10] == pytest.approx(0.8)
    assert values == sorted(values)
    assert values[1] == pytest.approx(0.26)
