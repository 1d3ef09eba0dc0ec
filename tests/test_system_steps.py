"""What a system hands to the backbones of streams with a time axis."""

from functools import partial

import pytest
import torch
from torch import nn

from multimodal_lab.backbone.backbones import Backbones
from multimodal_lab.fusion.separate import Separate
from multimodal_lab.system import System
from multimodal_lab.types import Band, Batch, Features, Stream

N, T = 3, 5


class Over(nn.Module):
    """A token a step; keeps what it was called with."""

    def __init__(self, stream):
        super().__init__()
        self.dim, self.layer = 4, nn.Linear(stream.channels, 4)

    def forward(self, x, valid):
        self.called = x, valid
        tokens = self.layer(x.flatten(3).mean(3).mT if x.ndim > 3 else x.mT)
        return Features(tokens, tokens.mean(1), valid)


class Plain(Over):
    """Asks for no `valid`."""

    def forward(self, x):
        self.called = (x,)
        return Features.from_vector(self.layer(x))


class Together(nn.Module):
    """One for all streams."""

    def __init__(self, streams):
        super().__init__()
        self.dims = dict.fromkeys(streams, 2)

    def forward(self, inputs, valid):
        self.called = inputs, valid
        return {k: Features.from_vector(x.flatten(1)[:, :2]) for k, x in inputs.items()}


STREAMS = {
    "acc": Stream("acc", "vector", (Band("x"), Band("y")), steps=T, mean=(3.0, 4.0), std=(2.0, 1.0)),
    "clip": Stream("clip", "image", (Band("R"),), steps=T, size=2, mean=(0.5,), std=(0.1,)),
    "row": Stream("row", "vector", (Band("a"),), mean=(1.0,), std=(1.0,)),
}


def batch():
    ids = torch.arange(N)
    valid = {k: torch.arange(T) < torch.tensor([[5], [2], [4]]) for k in ("acc", "clip")}
    present = {k: torch.tensor([True, True, k != "acc"]) for k in STREAMS}
    inputs = {"acc": torch.rand(N, 2, T) + 9, "clip": torch.rand(N, 1, T, 2, 2), "row": torch.rand(N, 1)}
    return Batch(inputs, {}, present, ids, ids, valid=valid)


def test_padded_steps_are_zero_and_valid_goes_to_who_asks():
    own = {k: partial(Plain if k == "row" else Over) for k in STREAMS}
    torch.manual_seed(0)
    system = System(
        STREAMS, {}, backbone=partial(Over), backbones=own, fusion=partial(Separate), head=partial(_Head), loss=_Loss()
    )
    made = batch()
    features = system.features(made)
    for name in ("acc", "clip"):
        x, valid = system.backbones.each[name].called
        assert torch.equal(valid, made.valid[name] & made.present[name][:, None])
        assert not x.movedim(2, 1)[~valid].any()
        normal = system.normalise[name](made.inputs[name]).movedim(2, 1)
        assert torch.equal(x.movedim(2, 1)[valid], normal[valid])
        assert torch.equal(features[name].mask, valid)
    assert len(system.backbones.each["row"].called) == 1
    assert not features["acc"].present[2]  # a missing row is missing whatever `valid` says of it


def test_a_shared_backbone_gets_what_is_valid_of_its_streams():
    rest = {k: STREAMS[k] for k in ("acc", "clip", "row")}
    backbones = Backbones(rest, partial(Together), {"row": partial(Plain)})
    made = batch()
    backbones(made.inputs, made.valid)
    inputs, valid = backbones.shared.called
    assert list(inputs) == ["acc", "clip"]
    assert list(valid) == ["acc", "clip"]


@pytest.mark.parametrize("f", [lambda x: x[:2], lambda x: torch.cat([x, x])])
def test_what_is_valid_goes_along_with_its_rows(f):
    made = batch()
    again = Batch.from_named(made.map(f).named())
    assert torch.equal(again.valid["acc"], f(made.valid["acc"]))


class _Head(nn.Module):
    def __init__(self, dims):
        super().__init__()

    def forward(self, features, batch):
        return {}


class _Loss(nn.Module):
    name = "none"

    def prepare(self, dims):
        pass

    def begin(self, scalars, where):
        pass
