"""Backbones over time: what is padded or not measured changes nothing, against slow loops over single steps."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from multimodal_lab.backbone.temporal_conv import TemporalConv
from multimodal_lab.backbone.temporal_transformer import TemporalTransformer, places
from multimodal_lab.types import Band, Stream

MAKE = {
    "conv": lambda s, **k: TemporalConv(s, **{"widths": [8, 12], "kernel": 5, **k}),
    "conv_stride_3": lambda s: TemporalConv(s, widths=[8, 12], kernel=3, stride=3),
    "transformer": lambda s: TemporalTransformer(s, width=16, layers=2, heads=4, patch=4, dropout=0.0),
    "transformer_patch_1": lambda s: TemporalTransformer(s, width=16, layers=1, heads=2, patch=1, dropout=0.0),
}


def stream(steps=23, bands=3):
    return Stream("s", "vector", tuple(Band(f"b{i}") for i in range(bands)), steps=steps)


def made(name, **facts):
    torch.manual_seed(0)
    return MAKE[name](stream(**facts)).eval()


def series(steps=23, bands=3):
    torch.manual_seed(1)
    x, valid = torch.randn(5, bands, steps), torch.ones(5, steps, dtype=torch.bool)
    valid[1, 9:] = False  # ends early
    valid[2, 4:11] = False  # a gap
    valid[3, 1:] = False  # one step
    valid[4] = False  # missing
    return x, valid


@pytest.mark.parametrize("longer", [1, 2, 7, 40])
@pytest.mark.parametrize("name", MAKE)
def test_padding_changes_nothing(name, longer):
    x, valid = series()
    module = made(name)
    f = module(x, valid)
    more = module(torch.cat([x, torch.full((5, 3, longer), 1e3)], 2), F.pad(valid, (0, longer)))
    torch.testing.assert_close(more.pooled, f.pooled, rtol=1e-5, atol=1e-6)
    length = f.tokens.shape[1]
    torch.testing.assert_close(more.tokens[:, :length], f.tokens, rtol=1e-5, atol=1e-6)
    assert torch.equal(more.mask[:, :length], f.mask)
    assert not more.mask[:, length:].any()
    assert not more.tokens[:, length:].any()


@pytest.mark.parametrize("name", MAKE)
def test_what_was_not_measured_is_not_read(name):
    x, valid = series()
    junk = torch.where(valid[:, None], x, torch.nan)
    a, b = made(name)(x, valid), made(name)(junk, valid)
    assert torch.equal(a.pooled, b.pooled)
    assert torch.equal(a.tokens, b.tokens)
    assert a.mask.any(1).tolist() == [True] * 4 + [False]
    assert not a.pooled[4].any()


@pytest.mark.parametrize("name", MAKE)
def test_a_missing_row_and_a_padded_one_give_finite_gradients_to_every_parameter(name):
    x, valid = series()
    for what in ("tokens", "pooled"):
        module = made(name)
        (getattr(module(x, valid), what) ** 3).sum().backward()
        for key, p in module.named_parameters():
            assert p.grad is not None, (what, key)
            assert p.grad.isfinite().all(), (what, key)


def test_the_convolution_is_the_slow_loop():
    x, valid = series()
    module = made("conv")
    y, real = np.where(valid.numpy()[:, None], x.numpy(), 0).astype(float), valid.numpy()
    for k, stage in enumerate(module.stages):
        w, bias = stage.conv.weight.detach().double().numpy(), stage.conv.bias.detach().double().numpy()
        length = -(-y.shape[2] // 2)
        out, mask = np.zeros((5, len(w), length)), np.zeros((5, length), bool)
        for n in range(5):
            for t in range(length):
                mask[n, t] = real[n, 2 * t : 2 * t + 2].any()
                if not mask[n, t]:
                    continue
                z = bias.copy()
                for tap in range(5):
                    at = 2 * t + tap - 2
                    if 0 <= at < y.shape[2]:
                        z += w[:, :, tap] @ y[n, :, at]
                if k:
                    z = (z - z.mean()) / math.sqrt(z.var() + 1e-5)
                out[n, :, t] = [v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in z]
        y, real = out, mask
    f = module(x, valid)
    np.testing.assert_allclose(f.tokens.detach().numpy(), y.transpose(0, 2, 1), rtol=1e-4, atol=1e-5)
    assert np.array_equal(f.mask.numpy(), real)
    for n in range(4):
        own = y[n][:, real[n]]
        np.testing.assert_allclose(f.pooled[n].detach().numpy(), (own.mean(1) + own.max(1)) / 2, rtol=1e-4, atol=1e-5)


def test_places_are_those_of_the_paper():
    found = places(9, 6, torch.device("cpu")).numpy()
    for t in range(9):
        for i in range(3):
            angle = t / 10000 ** (2 * i / 6)
            assert found[t, 2 * i] == pytest.approx(math.sin(angle), abs=1e-6)
            assert found[t, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-6)


def test_a_token_is_its_own_patch_and_the_mean_of_real_tokens_is_pooled():
    x, valid = series()
    module = made("transformer")
    f = module(x, valid)
    patches = [valid[:, 4 * k : 4 * k + 4].any(1) for k in range(6)]
    assert torch.equal(f.mask, torch.stack(patches, 1))
    for n in range(4):
        torch.testing.assert_close(f.pooled[n], f.tokens[n][f.mask[n]].mean(0))
    moved = x.clone()
    moved[0, :, 5] += 1  # a token sees the others: all change
    assert ((module(moved, valid).tokens[0] - f.tokens[0]).abs().amax(1) > 1e-6).all()


def test_settings_that_cannot_be_are_one_sentence():
    with pytest.raises(ValueError, match="heads=4: expected a divisor of width=10; nearest: 5"):
        TemporalTransformer(stream(), width=10, heads=4)
    with pytest.raises(ValueError, match="kernel=4: expected an odd number"):
        TemporalConv(stream(), widths=[8], kernel=4)
