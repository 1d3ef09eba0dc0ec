"""What is kept between two rows comes back, and of another number of ranks begins anew."""

import torch

from multimodal_lab.train.meters import Meters


def kept(*totals):
    meters = Meters(torch.device("cpu"))
    for value in totals:
        meters.add({"total": torch.tensor(value)}, torch.tensor(value * 10))
    return meters


def test_a_row_is_the_same_whether_or_not_a_checkpoint_came_between():
    whole, first, second = kept(1.0, 2.0, 6.0), kept(1.0, 2.0), kept()
    first.share()
    second.load_state_dict(first.state_dict())
    second.add({"total": torch.tensor(6.0)}, torch.tensor(60.0))
    assert second.row() == whole.row() == {"train/total": 3.0, "train/grad_norm": 60.0}


def test_steps_of_another_number_of_ranks_are_nobodys():
    state = {
        "kept": {"total": torch.tensor([[1.0], [5.0]]), "grad_norm": torch.ones(2, 1)},
        "bad": torch.tensor([3.0, 0.0]),
    }
    meters = kept(9.0)
    meters.load_state_dict(state)
    assert meters.bad_steps() == 0
    meters.add({"total": torch.tensor(4.0)}, torch.tensor(2.0))
    assert meters.row() == {"train/total": 4.0, "train/grad_norm": 2.0}


def test_as_many_steps_again_are_read_again_and_a_run_of_bad_ones_goes_on_over_a_row():
    meters = kept(1.0, float("nan"))
    assert meters.bad_steps() == 1
    meters.row()
    assert meters.bad_steps() == 1
    for value in (float("inf"), float("nan")):
        meters.add({"total": torch.tensor(1.0)}, torch.tensor(value))
    assert meters.bad_steps() == 3
    meters.row()
    for value in (2.0, 4.0):
        meters.add({"total": torch.tensor(value)}, torch.tensor(value))
    assert meters.bad_steps() == 0
    assert meters.row() == {"train/total": 3.0, "train/grad_norm": 4.0}
