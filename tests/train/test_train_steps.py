"""Every loss and every fusion on streams with steps: padding and missing rows have no part, and parts are the whole."""

import re
from functools import partial

import pytest
import torch
from contract.owed import factory
from omegaconf import OmegaConf
from test_train_gradcache import HEADS, LOSSES, NUMBERS, Encoder, assert_equal, at_once, batch, by_parts, taught
from torch import nn

from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.config.suggest import nodes
from multimodal_lab.system import System
from multimodal_lab.types import Band, Features, Stream

T, PIXELS = 4, 2
BANDS = tuple(Band(f"x{i}") for i in range(5))
STREAMS = {
    "a": Stream("a", "vector", BANDS, None, T),
    "b": Stream("b", "image", BANDS, PIXELS, T),
    "c": Stream("c", "vector", BANDS),
}
SIMCLR = next(p for p in LOSSES if p.stem == "cross_modal")


class Over(Encoder):
    """A token a step, of a still stream one; what is not valid is no token."""

    def __init__(self, stream):
        super().__init__(stream)
        self.each = nn.Linear(stream.channels, 8)

    def forward(self, x, valid=None):
        if valid is None:
            return super().forward(x)
        steps = x.flatten(3).mean(3) if x.ndim > 3 else x
        tokens = torch.tanh(self.each(steps.mT)) * valid[..., None]
        count = valid.sum(1, keepdim=True).clamp_min(1)
        return Features(tokens, tokens.sum(1) / count, valid)


def system(loss, fusion="concat"):
    head = re.search(r"out\.(\w+)", loss.read_text()).group(1)
    label = "mass" if head == "regressor" else "species"
    first, heads = (HEADS["projection"], {head: HEADS[head]}) if head == "match" else (HEADS[head], {})
    more = {"variance": True} if loss.stem == "gaussian_nll" else {}
    config = OmegaConf.create({"label": label, "loss": OmegaConf.load(loss)})
    if "dim" in config.loss.fn:
        config.loss.fn.dim = 6
    torch.manual_seed(0)
    made = factory("fusion", fusion, **({"width": 8} if "width" in nodes("fusion")[fusion] else {}))
    built = System(
        STREAMS, {"species": 3}, backbone=partial(Over), fusion=made, head=partial(first, **more), heads=heads,
        loss=safe_instantiate(config.loss), numbers=NUMBERS,
    )  # fmt: skip
    return taught(built, loss)


def series(dtype=torch.float64, garbage=0.0):
    """Views of recordings of 1 to T steps; what is padded, and what a missing row holds, is `garbage`."""
    still = batch(tuple(STREAMS), dtype=dtype)
    make, rows = torch.Generator().manual_seed(2), len(still)
    length = torch.randint(1, T + 1, (rows // 2,), generator=make).repeat(2)
    real = torch.arange(T) < length[:, None]
    inputs = dict(still.inputs)
    for name in ("a", "b"):
        shape = (rows, 5, T, *[PIXELS] * (2 * (name == "b")))
        x = torch.randn(shape, generator=make, dtype=torch.float64).to(dtype)
        shown = (real & still.present[name][:, None]).view(rows, 1, T, *[1] * (len(shape) - 3))
        inputs[name] = torch.where(shown, x, garbage)
    inputs["c"] = torch.where(still.present["c"][:, None], inputs["c"], garbage)
    words = still.targets["caption"][:, :T] - 1
    valid = {name: real & still.present[name][:, None] for name in ("a", "b")}
    return still.replace(inputs=inputs, valid=valid, targets={**still.targets, "masked_words": words})


STILL = [loss for loss in LOSSES if "out.segment" not in loss.read_text()]  # a map has no time axis
CASES = [(loss, "concat") for loss in STILL] + [(SIMCLR, name) for name in sorted(nodes("fusion"))]


@pytest.mark.parametrize(("loss", "fusion"), CASES, ids=[f"{loss.stem}-{fusion}" for loss, fusion in CASES])
def test_padding_and_missing_rows_have_no_part(loss, fusion):
    clean, spoilt = (at_once(system(loss, fusion).double(), series(garbage=g)) for g in (0.0, float("nan")))
    assert clean[0].isfinite()
    assert torch.equal(clean[0], spoilt[0])
    assert clean[1].keys() == spoilt[1].keys()
    assert all(g.isfinite().all() and torch.equal(g, spoilt[1][k]) for k, g in clean[1].items())
    assert any("backbones.each.a.each" in k and g.any() for k, g in clean[1].items())


@pytest.mark.parametrize(("loss", "fusion"), CASES, ids=[f"{loss.stem}-{fusion}" for loss, fusion in CASES])
def test_parts_are_the_whole(loss, fusion):
    assert_equal(*(run(system(loss, fusion).double(), series()) for run in (by_parts, at_once)), 1e-12)
