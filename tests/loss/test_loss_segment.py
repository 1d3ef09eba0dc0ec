"""Losses of maps against slow plain Python and torch's own, in value and gradient."""

import math

import pytest
import torch
import torch.nn.functional as F

from multimodal_lab.loss.segment import segment
from multimodal_lab.loss.segment_numbers import mae, mse

WEIGHT = [0.5, 2.0, 1.0]


def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    target = torch.randint(-1, 3, (2, 3, 4), generator=draw)
    target[target == 2] = 0  # a class that no pixel has
    return torch.randn(2, 3, 3, 4, generator=draw, dtype=torch.float64).requires_grad_(), target


def pixels(logits, target):
    """(probabilities, class) of every known pixel."""
    logits = logits.detach()
    for n, y, x in (target >= 0).nonzero().tolist():
        z = [math.exp(v) for v in logits[n, :, y, x].tolist()]
        yield [v / sum(z) for v in z], int(target[n, y, x])


def dice_oracle(logits, target):
    known = list(pixels(logits, target))
    found = []
    for k in {c for _, c in known}:
        both = sum(p[k] for p, c in known if c == k)
        found.append(1 - 2 * both / (sum(p[k] for p, _ in known) + sum(c == k for _, c in known)))
    return sum(found) / len(found)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_cross_entropy_is_torchs_in_value_and_gradient(smoothing, weight):
    logits, target = drawn()
    own = segment(logits, target, label_smoothing=smoothing, class_weight=weight).total
    tensor = None if weight is None else torch.tensor(weight, dtype=torch.float64)
    theirs = F.cross_entropy(logits, target, tensor, ignore_index=-1, label_smoothing=smoothing)
    torch.testing.assert_close(own, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(x, logits)[0] for x in (own, theirs)))


def test_focal_and_dice_are_those_of_the_papers():
    logits, target = drawn()
    found = segment(logits, target, cross_entropy=0.0, dice=2.0, focal=3.0, gamma=1.5)
    known = list(pixels(logits, target))
    focal = sum(-((1 - p[c]) ** 1.5) * math.log(p[c]) for p, c in known) / len(known)
    assert float(found.parts["focal"]) == pytest.approx(focal, rel=1e-9)
    assert float(found.parts["dice"]) == pytest.approx(dice_oracle(logits, target), rel=1e-9)
    assert float(found.total) == pytest.approx(2 * dice_oracle(logits, target) + 3 * focal, rel=1e-9)
    assert torch.autograd.gradcheck(lambda x: segment(x, target, dice=1.0, focal=1.0, gamma=0.5).total, logits)


def test_an_unknown_pixel_has_no_part_and_none_known_is_zero_with_a_graph():
    logits, target = drawn()
    strange = torch.where((target < 0)[:, None], torch.nan, logits)
    one, other = (segment(x, target, dice=1.0, focal=1.0).total for x in (logits, strange))
    torch.testing.assert_close(one, other)
    assert torch.isfinite(torch.autograd.grad(other, logits)[0]).all()
    nothing = segment(logits, torch.full_like(target, -1), dice=1.0, focal=1.0).total
    assert nothing == 0
    assert (torch.autograd.grad(nothing, logits)[0] == 0).all()


def test_numbers_are_averaged_over_known_pixels():
    draw = torch.Generator().manual_seed(0)
    said = torch.randn(2, 1, 3, 4, generator=draw, dtype=torch.float64).requires_grad_()
    truth = torch.randn(2, 3, 4, generator=draw, dtype=torch.float64)
    truth[:, 0] = torch.nan
    known = torch.isfinite(truth)
    error = (said[:, 0] - truth)[known] / 2
    for own, theirs in ((mae, error.abs().mean()), (mse, error.square().mean())):
        value = own(said, truth, torch.tensor([2.0]))
        torch.testing.assert_close(value, theirs)
        torch.testing.assert_close(*(torch.autograd.grad(x, said, retain_graph=True)[0] for x in (value, theirs)))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: segment(torch.zeros(1, 3, 2, 2), torch.zeros(1, 4, 4, dtype=torch.long)), r"map of \(1, 4, 4\)"),
        (lambda: segment(torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2)), "a map without names holds numbers"),
        (lambda: mse(torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2)), "a map with names holds classes"),
    ],
)
def test_another_target_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()
