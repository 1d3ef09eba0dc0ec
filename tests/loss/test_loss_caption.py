"""Next-token cross-entropy: shift, pads, lengths."""

import loss_oracle as oracle
import pytest
import torch
from loss_oracle import assert_same, value_and_gradients

from multimodal_lab.loss.caption import caption

TOKENS = torch.tensor([[1, 4, 5, 2, 0], [1, 3, 2, 0, 0], [0, 0, 0, 0, 0], [1, 5, 5, 5, 2]])


def logits(length=4):
    return torch.randn(4, length, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("length", [4, 5])
def test_value_and_gradient_are_those_of_plain_loops(length):
    x = logits(length)
    found = value_and_gradients(lambda x: caption(x, TOKENS), x)
    assert_same(found, value_and_gradients(lambda x: oracle.caption(x, TOKENS), x), 1e-12)


def test_position_t_predicts_token_t_plus_1():
    right = torch.nn.functional.one_hot(TOKENS[:, 1:], 6).double() * 50
    same = torch.nn.functional.one_hot(TOKENS[:, :-1], 6).double() * 50
    assert caption(right, TOKENS) < 1e-12
    assert caption(same, TOKENS) > 10


def test_pads_and_a_prediction_after_the_end_count_nothing():
    _, grad = value_and_gradients(lambda x: caption(x, TOKENS), logits(5))
    assert (grad[:, 4] == 0).all()
    assert (grad[:, :4][TOKENS[:, 1:] == 0] == 0).all()
    assert (grad[:, :4][TOKENS[:, 1:] != 0] != 0).all()
    value, grad = value_and_gradients(lambda x: caption(x, torch.zeros_like(TOKENS)), logits())
    assert value == 0
    assert (grad == 0).all()


def test_options_are_live():
    for option in ({"label_smoothing": 0.1}, {"pad": 5}):
        assert abs(caption(logits(), TOKENS, **option) - caption(logits(), TOKENS)) > 1e-3


@pytest.mark.parametrize("length", [3, 6])
def test_other_lengths_are_refused(length):
    with pytest.raises(ValueError, match=r"expected \(4, 4 or 5, V\)"):
        caption(logits(length), TOKENS)
