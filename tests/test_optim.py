import math

import pytest
import torch
from torch import nn

from multimodal_lab.optim import adamw, factor, groups, set_rates, sgd


class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbones = nn.ModuleDict({"rgb": nn.Linear(3, 4), "uv": nn.Linear(3, 4)})
        self.fusion = nn.Identity()
        self.head = nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 2))


def rate_of(optimizer, parameter):
    return next(g["lr"] for g in optimizer.param_groups if any(p is parameter for p in g["params"]))


def test_every_parameter_is_in_one_group_and_norms_and_biases_do_not_decay():
    toy = Toy()
    found = groups(toy, 1e-3, 0.1, {})
    seen = [p for g in found for p in g["params"]]
    assert len(seen) == len({id(p) for p in seen}) == len(list(toy.parameters()))
    for group in found:
        for p in group["params"]:
            assert group["weight_decay"] == (0.1 if p.ndim >= 2 else 0.0)


@pytest.mark.parametrize("make", [adamw, sgd])
def test_the_longest_prefix_sets_the_rate(make):
    toy = Toy()
    optimizer = make(toy, lr=1.0, rates={"backbones": 0.1, "backbones.uv": 0.01})
    assert rate_of(optimizer, toy.backbones["rgb"].weight) == 0.1
    assert rate_of(optimizer, toy.backbones["uv"].weight) == 0.01
    assert rate_of(optimizer, toy.head[1].weight) == 1.0


def test_a_prefix_that_names_no_module_is_refused_and_one_without_parameters_is_not():
    adamw(Toy(), rates={"fusion": 1e-3})
    with pytest.raises(ValueError, match=r"optim\.rates\.backbone: no module.*nearest: backbones"):
        adamw(Toy(), rates={"backbone": 1e-3})


def test_frozen_parameters_are_in_no_group():
    toy = Toy()
    toy.backbones.requires_grad_(False)
    assert not {id(p) for p in toy.backbones.parameters()} & {id(p) for g in groups(toy, 1, 0, {}) for p in g["params"]}


def test_the_schedule_is_warm_up_then_cosine():
    values = [factor(s, 100, warmup=0.1, kind="cosine", floor=0.1) for s in range(100)]
    assert values[:10] == pytest.approx([(s + 1) / 11 for s in range(10)])
    for s in range(10, 100):
        assert values[s] == pytest.approx(0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * (s - 10) / 90)))
    assert factor(100, 100, warmup=0.1, kind="cosine", floor=0.1) == pytest.approx(0.1)
    assert factor(99, 100, warmup=0.0, kind="constant", floor=0.0) == 1.0


def test_a_small_rate_stays_small_through_the_schedule():
    optimizer = adamw(Toy(), lr=1e-3, rates={"backbones": 1e-4})
    set_rates(optimizer, 0.5)
    assert {round(g["lr"], 10) for g in optimizer.param_groups} == {5e-4, 5e-5}
    assert torch.tensor([g["base_lr"] for g in optimizer.param_groups]).max() == torch.tensor(1e-3)
