"""An image backbone on every frame: padded frames never count, order matters to an LSTM, a chunk changes memory alone."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from contract.owed import factory
from torch import nn

from multimodal_lab.backbone.convnet import ConvNet
from multimodal_lab.backbone.frames import Frames
from multimodal_lab.backbone.image import Image
from multimodal_lab.types import Band, Stream

CONVNET = partial(ConvNet, widths=[4, 6])
RESNET = partial(Image, model="test_resnet", pretrained_bands=["R", "G", "B"])


def stream(bands=2, size=8):
    return Stream("clip", "image", tuple(Band(f"b{i}") for i in range(bands)), size, steps=7)


def made(pool="mean", image=CONVNET, **knobs):
    torch.manual_seed(0)
    return Frames(stream(size=32 if image is RESNET else 8), image=image, pool=pool, **knobs)


def clips(size=8):
    """Whole, short, with a gap, of one frame and missing, with junk where nothing is real."""
    torch.manual_seed(1)
    valid = torch.ones(5, 7, dtype=torch.bool)
    valid[1, 4:] = valid[2, 2:4] = valid[3, 1:] = valid[4] = False
    return torch.where(valid[:, None, :, None, None], torch.randn(5, 2, 7, size, size), 1e3), valid


def one_by_one(module, x, valid):
    """The vectors of each clip's real frames, one frame at a time."""
    with torch.no_grad():
        return [[module.image(x[n, None, :, t]).pooled[0] for t in range(7) if valid[n, t]] for n in range(len(x))]


@pytest.mark.parametrize("pool", ["mean", "lstm", "attention"])
def test_padded_frames_do_not_count(pool):
    x, valid = clips()
    module = made(pool).eval()
    f = module(x, valid)
    for n, own in enumerate(one_by_one(module, x, valid)):
        if not own:
            assert not f.pooled[n].any()
            continue
        alone = torch.stack(own)
        if pool == "mean":
            expected = alone.mean(0)
        elif pool == "lstm":
            expected = module.time.lstm(alone[None])[0][0].mean(0)
        else:
            expected = slow_attention(module.time, alone.double().numpy())
        torch.testing.assert_close(f.pooled[n], torch.as_tensor(expected, dtype=torch.float32), rtol=1e-4, atol=1e-5)
    assert torch.equal(f.mask, valid)
    assert not f.tokens[~valid].any()


def slow_attention(time, h):
    """Ilse et al. 2018, eq. 9, one frame at a time."""
    v, u = ([p.detach().double().numpy() for p in layer.parameters()] for layer in (time.v, time.u))
    w = time.w.weight.detach().double().numpy()[0]
    said = []
    for frame in h:
        gate = 1 / (1 + np.exp(-(u[0] @ frame + u[1])))
        said.append(math.exp(w @ (np.tanh(v[0] @ frame + v[1]) * gate)))
    return sum(a * frame for a, frame in zip(said, h)) / sum(said)


def test_order_matters_to_the_lstm_alone():
    x, valid = clips()
    whole, turned = x[:1], x[:1].flip(2)
    for pool, differs in (("mean", False), ("attention", False), ("lstm", True)):
        module = made(pool).eval()
        a, b = module(whole, valid[:1]).pooled, module(turned, valid[:1]).pooled
        assert torch.allclose(a, b, atol=1e-5) != differs, pool


def test_attention_says_what_it_has_weighted():
    x, valid = clips()
    weights = made("attention")(x, valid).weights["time"]
    torch.testing.assert_close(weights.sum(1), torch.tensor([1.0, 1, 1, 1, 0]))
    assert not weights[~valid].any()
    assert weights[0].std() > 0


def test_a_frozen_image_backbone_stays_as_it_is_while_the_pooling_learns():
    module = made("lstm", partial(RESNET, freeze=True)).train()
    before = {k: v.clone() for k, v in module.image.state_dict().items()}
    x, valid = clips(32)
    module(x, valid).pooled.square().sum().backward()
    assert all(torch.equal(v, before[k]) for k, v in module.image.state_dict().items())
    assert not any(m.training for m in module.image.modules())
    assert all(p.grad is None for p in module.image.parameters())
    assert all(p.grad.abs().sum() > 0 for p in module.time.parameters())


def norms(module):
    return [m.running_mean.clone() for m in module.modules() if isinstance(m, nn.BatchNorm2d)]


def test_batch_norm_counts_no_padded_frame():
    x, valid = clips(32)
    module, plain = made(image=RESNET).train(), made(image=RESNET).train()
    module(x, valid)
    plain.image(x.transpose(1, 2)[valid])
    assert norms(plain)
    assert all(torch.equal(a, b) for a, b in zip(norms(module), norms(plain)))


def test_no_real_frame_at_all_gives_zeros_and_gradients():
    module = made("attention", RESNET)
    f = module(*(t[4:] for t in clips(32)))
    assert not f.tokens.any()
    (f.tokens.sum() + f.pooled.sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


def kept(module, x, valid):
    """Numbers that the forward pass keeps for the backward one, and the features."""
    found = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: found.append(t.numel()) or t, lambda t: t):
        f = module(x, valid)
    return sum(found), f


def test_a_chunk_changes_memory_and_nothing_else():
    x, valid = clips()
    whole, parts = made(), made(chunk=4)
    (much, f), (little, g) = kept(whole, x, valid), kept(parts, x, valid)
    assert little < much / 2
    torch.testing.assert_close(g.pooled, f.pooled)
    for said in (f, g):
        said.pooled.square().sum().backward()
    for a, b in zip(whole.parameters(), parts.parameters()):
        torch.testing.assert_close(b.grad, a.grad, rtol=1e-4, atol=1e-6)
    assert kept(made(image=partial(CONVNET, freeze=True), chunk=4), x, valid)[0] == 0


def test_a_chunk_computed_again_moves_no_statistic_twice():
    x, valid = clips(32)
    module = made(image=RESNET, chunk=5).train()
    f = module(x, valid)
    before = norms(module)
    f.pooled.sum().backward()
    assert all(torch.equal(a, b) for a, b in zip(before, norms(module)))


def test_differences_are_bands_beside_the_frames():
    x, valid = clips()
    module, seen = made(differences=True), []
    module.image.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    module(x, valid)
    rows = [(n, t) for n in range(5) for t in range(7) if valid[n, t]]
    for (n, t), frame in zip(rows, seen[0], strict=True):
        change = x[n, :, t] - x[n, :, t - 1] if t and valid[n, t - 1] else torch.zeros(2, 8, 8)
        assert torch.equal(frame, torch.cat([x[n, :, t], change]))


def test_any_image_backbone_and_no_other():
    assert factory("backbone", "frames")(stream=stream()).image.dim == 128
    for name in ("text", "shared"):
        own = factory("backbone", name)
        with pytest.raises(
            ValueError, match=rf"backbone.image={name}: expected a backbone that reads one image stream"
        ):
            Frames.require_possible(own, size=None)
    with pytest.raises(ValueError, match=r"backbone.model=nothing: timm has no such model"):
        Frames.require_possible(partial(Image, model="nothing"), size=32)
    with pytest.raises(ValueError, match=r"normalise=backbone: backbone.image \(convnet\) has no weights that say it"):
        Frames.normalisation(CONVNET)
    assert Frames.normalisation(partial(RESNET, model="resnet18", weights="cache"))["of"] == "resnet18"
