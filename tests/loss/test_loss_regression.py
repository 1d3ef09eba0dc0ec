"""Losses of numbers equal torch.nn's in value and gradient, on standardised values; missing numbers are left out."""

import pytest
import torch
from torch import nn

from multimodal_lab.loss import regression

PAIRS = [("mse", nn.MSELoss(), {}), ("mae", nn.L1Loss(), {}), ("huber", nn.HuberLoss(), {}),
         ("huber", nn.HuberLoss(delta=0.3), {"delta": 0.3})]  # fmt: skip
SCALE = torch.tensor([20.0, 0.5])


def drawn(columns=2):
    g = torch.Generator().manual_seed(0)
    target = torch.randn(9, 2, generator=g) * SCALE + 1000
    predicted = target + torch.randn(9, 2, generator=g) * SCALE
    return predicted.requires_grad_(), target


@pytest.mark.parametrize(("name", "oracle", "more"), PAIRS, ids=[f"{n}{m}" for n, _, m in PAIRS])
def test_equals_torch_on_standardised_values(name, oracle, more):
    x, y = drawn()
    y[2, 1] = y[5, 0] = torch.nan
    known = torch.isfinite(y)
    ours = getattr(regression, name)(x, y, SCALE, **more)
    theirs = oracle((x / SCALE)[known], (y / SCALE)[known])
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(v, x)[0] for v in (ours, theirs)))


def test_gaussian_nll_equals_torch_and_its_variance_is_used():
    x, y = drawn()
    y[2, 1] = torch.nan
    known, variance = torch.isfinite(y), (torch.rand(9, 2) + 0.5).requires_grad_()
    ours = regression.gaussian_nll(torch.cat([x, variance * SCALE**2], 1), y, SCALE)
    theirs = nn.GaussianNLLLoss()((x / SCALE)[known], (y / SCALE)[known], variance[known])
    torch.testing.assert_close(ours, theirs)
    for leaf in (x, variance):
        torch.testing.assert_close(*(torch.autograd.grad(v, leaf, retain_graph=True)[0] for v in (ours, theirs)))
    assert (torch.autograd.grad(ours, variance)[0][known] != 0).all()


def test_one_number_a_row_may_have_no_column():
    x, y = drawn()
    assert regression.mse(x[:, :1], y[:, 0]) == nn.MSELoss()(x[:, 0], y[:, 0])


@pytest.mark.parametrize(
    ("predicted", "target", "said"),
    [
        (torch.zeros(4, 2), torch.zeros(4), r"loss=mse: predicted \(4, 2\) against target \(4,\)"),
        (torch.zeros(4, 1), torch.zeros(4, dtype=torch.int64), "is the label a number?"),
    ],
)
def test_what_does_not_fit_is_refused(predicted, target, said):
    with pytest.raises(ValueError, match=said):
        regression.mse(predicted, target)
    with pytest.raises(ValueError, match=r"give head\.variance=true"):
        regression.gaussian_nll(torch.zeros(4, 1), torch.zeros(4))
