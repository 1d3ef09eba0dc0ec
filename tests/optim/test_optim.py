import math
from functools import partial

import pytest
import torch
from torch import nn

from multimodal_lab.optim.layer_decay import below
from multimodal_lab.optim.optimizers import adamw, groups, sgd
from multimodal_lab.optim.schedule import factor, ramp_steps, set_rates


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
def test_the_longest_prefix_scales_the_rate(make):
    toy = Toy()
    optimizer = make(toy, lr=2.0, lr_scale={"backbones": 0.1, "backbones.uv": 0.01})
    assert rate_of(optimizer, toy.backbones["rgb"].weight) == 0.2
    assert rate_of(optimizer, toy.backbones["uv"].weight) == 0.02
    assert rate_of(optimizer, toy.head[1].weight) == 2.0


def test_a_prefix_that_names_no_module_is_refused_and_one_without_parameters_is_not():
    adamw(Toy(), lr_scale={"fusion": 1e-3})
    with pytest.raises(ValueError, match=r"optim\.lr_scale\.backbone: no module.*nearest: backbones"):
        adamw(Toy(), lr_scale={"backbone": 1e-3})


@pytest.mark.parametrize("model", ["vit_tiny_patch16_224", "convnext_atto", "resnet18"])
def test_layer_decay_gives_timms_rates(model):
    timm = pytest.importorskip("timm")
    from timm.optim import param_groups_layer_decay

    toy = Toy()
    toy.backbones = nn.Module()
    toy.backbones.each = nn.ModuleDict({"rgb": timm.create_model(model, num_classes=7)})
    theirs = param_groups_layer_decay(toy.backbones.each["rgb"], 0.1, layer_decay=0.75)
    scale = {id(p): g["lr_scale"] for g in theirs for p in g["params"]}
    for group in groups(toy, 2.0, 0.1, {}, 0.75):
        for p in group["params"]:
            # their head is the layer above; here that is the fusion, so the whole backbone is one layer further down
            assert group["lr"] == pytest.approx(2.0 * 0.75 * scale[id(p)] if id(p) in scale else 2.0)


def test_layers_of_a_plain_module_are_its_numbers():
    plain = nn.Module()
    plain.embed = nn.Linear(2, 2)
    plain.stages = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    plain.norm = nn.LayerNorm(2)
    toy = Toy()
    toy.backbones = nn.Module()
    toy.backbones.each = nn.ModuleDict({"rgb": plain, "uv": nn.Linear(2, 2)})
    found = {k.removeprefix("backbones.each."): v for k, v in below(toy).items() if k.endswith("bias")}
    assert found == {
        "rgb.embed.bias": 3,
        "rgb.stages.0.bias": 2,
        "rgb.stages.1.bias": 1,
        "rgb.norm.bias": 1,
        "uv.bias": 1,
    }


def test_layer_decay_without_layers_is_refused():
    with pytest.raises(ValueError, match=r"optim\.layer_decay: no backbone"):
        adamw(Toy(), layer_decay=0.5)


@pytest.mark.parametrize("make", [adamw, partial(sgd, momentum=0.0)])
def test_the_fused_update_is_the_plain_one_and_leaves_out_what_is_not_finite(make):
    def trained(fused):
        torch.manual_seed(0)
        toy = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
        optimizer = make(toy, lr=0.01, fused=fused)
        for _ in range(5):
            toy(torch.ones(2, 3)).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        return toy, optimizer

    (plain, one), (fused, two) = trained(False), trained(True)
    assert not one.param_groups[0]["fused"] and two.param_groups[0]["fused"]  # noqa: PT018
    for a, b in zip(plain.parameters(), fused.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    before = [p.detach().clone() for p in fused.parameters()]
    two.found_inf = torch.ones(())
    fused(torch.full((2, 3), math.nan)).sum().backward()
    two.step()
    assert all(torch.equal(a, b) for a, b in zip(before, fused.parameters(), strict=True))


@pytest.mark.parametrize("make", [adamw, sgd])
def test_a_first_update_that_is_left_out_leaves_no_trace(make):
    def trained(skipped):
        torch.manual_seed(0)
        toy = nn.Linear(64, 64)
        optimizer = make(toy, lr=0.01)
        assert optimizer.param_groups[0]["fused"] is (make is adamw)
        for i in range(skipped, 4):
            toy(torch.full((2, 64), math.inf if i < 0 else 1.0)).square().mean().backward()
            if make is adamw:
                optimizer.found_inf = torch.tensor(float(i < 0))
            if i >= 0 or make is adamw:  # as a step does: what is not fused is asked before
                optimizer.step()
            optimizer.zero_grad()
        return toy.weight

    torch.testing.assert_close(trained(-1), trained(0), rtol=1e-6, atol=1e-7)


def test_frozen_parameters_are_in_no_group():
    toy = Toy()
    toy.backbones.requires_grad_(False)
    assert not {id(p) for p in toy.backbones.parameters()} & {id(p) for g in groups(toy, 1, 0, {}) for p in g["params"]}


def test_the_schedule_is_warm_up_then_cosine():
    values = [factor(s, 100, ramp=10, kind="cosine", min_lr_ratio=0.1) for s in range(100)]
    assert values[:10] == pytest.approx([(s + 1) / 11 for s in range(10)])
    for s in range(10, 100):
        assert values[s] == pytest.approx(0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * (s - 10) / 90)))
    assert factor(100, 100, ramp=10, kind="cosine", min_lr_ratio=0.1) == pytest.approx(0.1)
    assert factor(99, 100, ramp=0, kind="constant", min_lr_ratio=0.0) == 1.0


def test_a_warm_up_is_a_share_or_a_number_of_steps():
    assert [ramp_steps(240, 0.05, steps) for steps in (None, 0, 40)] == [12, 0, 40]


def test_a_small_rate_stays_small_through_the_schedule():
    optimizer = adamw(Toy(), lr=1e-3, lr_scale={"backbones": 0.1})
    set_rates(optimizer, 0.5)
    assert {round(g["lr"], 10) for g in optimizer.param_groups} == {5e-4, 5e-5}
    assert torch.tensor([g["base_lr"] for g in optimizer.param_groups]).max() == torch.tensor(1e-3)
