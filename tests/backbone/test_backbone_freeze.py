"""Frozen means that nothing moves."""

import copy

import pytest
import torch
from torch import nn

from multimodal_lab.backbone.freeze import freeze


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))


def test_nothing_moves_even_in_training(net):
    parent = nn.Sequential(freeze(net), nn.Conv2d(4, 2, 1))
    before = copy.deepcopy(net.state_dict())
    parent.train()
    x = torch.randn(8, 3, 6, 6)
    assert torch.equal(net(x), net(x))  # no dropout
    parent(x).sum().backward()
    torch.optim.SGD([p for p in parent.parameters() if p.requires_grad], lr=1.0).step()
    after = net.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(v, after[k]) for k, v in before.items())
    assert parent.training
    assert parent[1].training
    assert not any(m.training for m in net.modules())
    net[1].train()
    assert not net[1].training


def test_what_is_not_frozen_does_move(net):
    before = copy.deepcopy(net.state_dict())
    net.train()(torch.randn(8, 3, 6, 6))
    assert (before["1.running_mean"] - net.state_dict()["1.running_mean"]).abs().max() > 1e-3


def test_no_graph_is_kept_but_a_gradient_of_the_input_passes(net):
    freeze(net)
    assert net(torch.randn(2, 3, 6, 6)).grad_fn is None
    x = torch.randn(2, 3, 6, 6, requires_grad=True)
    net(x).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


def test_a_copy_is_frozen_on_its_own(net):
    twin = copy.deepcopy(freeze(net))
    twin.train()
    assert not twin.training
    assert twin.__dict__["train"].__self__ is twin
