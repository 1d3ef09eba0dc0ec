"""Freezing parts of a system by name."""

from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from multimodal_lab.adapt import freeze

CONF = Path(__file__).parents[2] / "conf" / "adapt"


@pytest.fixture
def system():
    torch.manual_seed(0)
    backbones = nn.ModuleDict({n: nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)) for n in ("rgb", "uv")})
    return nn.ModuleDict({"backbones": backbones, "fusion": nn.Identity(), "head": nn.Linear(3, 2)})


def trains(module):
    return [name for name, p in module.named_parameters() if p.requires_grad]


def test_a_name_freezes_all_below_it(system):
    freeze.freeze(system, modules=["backbones"])
    assert trains(system) == ["head.weight", "head.bias"]
    system.train()
    before = system["backbones"]["uv"][1].running_mean.clone()
    system["backbones"]["uv"](torch.randn(9, 2))
    assert torch.equal(before, system["backbones"]["uv"][1].running_mean)


def test_one_of_two(system):
    freeze.freeze(system, modules=["backbones.rgb", "fusion"])
    assert not trains(system["backbones"]["rgb"])
    assert len(trains(system["backbones"]["uv"])) == 4


@pytest.mark.parametrize(("wrong", "near"), [("backbone", "backbones"), ("backbones.rbg", "backbones.rgb"), ("", "")])
def test_an_unknown_name_is_refused_before_anything_is_frozen(system, wrong, near):
    with pytest.raises(ValueError, match=f"no module named '{wrong}'.*nearest: {near}"):
        freeze.freeze(system, modules=["head", wrong])
    assert len(trains(system)) == 10


def test_freezing_all_is_refused(system):
    with pytest.raises(ValueError, match="nothing is left to train"):
        freeze.freeze(system, modules=["backbones", "head"])


def test_the_configs_say_what_the_functions_take(system):
    assert yaml.safe_load((CONF / "none.yaml").read_text()) == {}
    facts = yaml.safe_load((CONF / "freeze.yaml").read_text())
    assert facts.pop("_target_") == "multimodal_lab.adapt.freeze.freeze"
    assert facts.pop("_partial_")
    freeze.freeze(system, **facts)
