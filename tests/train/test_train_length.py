"""How long a training is follows the data, and is told."""

import pytest

from multimodal_lab.train.config import TrainConfig
from multimodal_lab.train.length import epochs_for, told


@pytest.mark.parametrize(
    ("per_epoch", "epochs"),
    [(1, 100), (2, 50), (3, 34), (15, 7), (19, 6), (20, 5), (24, 5), (10_000, 5)],
)
def test_auto_is_five_epochs_or_a_hundred_steps(per_epoch, epochs):
    assert epochs_for(per_epoch) == epochs


def test_the_embedded_specimens_keep_their_five_epochs(composed):
    cfg = composed(small=False)
    assert cfg.train.epochs == TrainConfig().epochs == "auto"
    images = cfg.data.source.individuals * cfg.data.source.sides
    assert epochs_for(int(images * cfg.data.split.train) // cfg.data.batch_size) == 5


def test_what_was_left_to_the_data_is_told_and_few_steps_warn():
    assert told("auto", 50, 2, 100) == ["train.epochs=auto: 50 epochs of 2 optimizer steps"]
    assert told(5, 5, 24, 120) == []
    (said,) = told(5, 5, 3, 15)
    assert said.startswith("warning: 15 optimizer steps in all")
    assert told("auto", 5, 24, 1)[0].startswith("warning: 1 optimizer step in all")  # train.max_steps


def test_a_warm_up_as_long_as_the_training_is_told():
    assert told(5, 5, 24, 120, ramp=119) == []
    (said,) = told(5, 5, 24, 120, ramp=1000)
    assert said.startswith(
        "warning: the learning rate warms up over 1000 optimizer steps (train.warmup_steps) of 120 in all"
    )


def test_no_step_at_all_is_told_and_no_warning():
    assert told("auto", 5, 24, 0) == ["train.max_steps=0: nothing is trained; the system is judged as it begins"]
