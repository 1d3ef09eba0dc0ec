"""Backbones on the log-mel: padding has no part, a frame's norm is its own, masks are drawn in training, settings are told."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F

from multimodal_lab.augment.augment import Augment
from multimodal_lab.augment.draw import Draw
from multimodal_lab.augment.spec_augment import SpecAugment
from multimodal_lab.backbone.audio_conv import AudioConv, FrameNorm
from multimodal_lab.backbone.audio_image import AudioImage
from multimodal_lab.backbone.audio_transformer import AudioTransformer
from multimodal_lab.backbone.backbones import Backbones
from multimodal_lab.backbone.log_mel import LogMel
from multimodal_lab.cache.encodings import Encodings, Lookup
from multimodal_lab.types import Band, Batch, Stream

MEL = {"n_fft": 128, "hop_length": 40, "n_mels": 16, "fmin": 0.0}
STEPS = 1200  # 31 frames


def mel(**settings):
    return partial(LogMel, **{**MEL, **settings})


MAKE = {
    "conv": lambda s, m: AudioConv(s, mel=m, widths=[8, 16], depth=2, groups=4),
    "transformer": lambda s, m: AudioTransformer(s, mel=m, width=16, layers=2, heads=2, patch=4, stride=4, dropout=0.0),
    "transformer_overlap": lambda s, m: AudioTransformer(
        s, mel=m, width=16, layers=1, heads=2, patch=6, stride=4, dropout=0.0
    ),
    "image": lambda s, m: AudioImage(s, mel=m, model="test_resnet", pretrained_bands=["R", "G", "B"]),
    "vit": lambda s, m: AudioImage(s, mel=m, model="test_vit", pretrained_bands=["R", "G", "B"]),
}


def stream(steps=STEPS):
    return Stream("s", "vector", (Band("left"), Band("right")), steps=steps, rate=16000.0)


def made(name, steps=STEPS, **settings):
    torch.manual_seed(0)
    return MAKE[name](stream(steps), mel(**settings)).eval()


def sounds(steps=STEPS):
    torch.manual_seed(1)
    x, valid = 0.1 * torch.randn(4, 2, steps), torch.ones(4, steps, dtype=torch.bool)
    valid[1, 500:], valid[2, 200:600], valid[3] = False, False, False
    return torch.where(valid[:, None], x, 0.0), valid


@pytest.mark.parametrize("name", MAKE)
def test_padding_and_gaps_have_no_part(name):
    x, valid = sounds()
    module = made(name, steps=3 * STEPS)  # `image` sees the frames of the longest, however a batch is padded
    f = module(x, valid)
    junk = torch.cat([x, torch.full((4, 2, 2 * STEPS), 0.5)], 2).masked_fill(
        ~F.pad(valid, (0, 2 * STEPS))[:, None], 7.0
    )
    more = module(junk, F.pad(valid, (0, 2 * STEPS)))
    torch.testing.assert_close(more.pooled, f.pooled, rtol=1e-4, atol=1e-5)
    for n in range(4):
        torch.testing.assert_close(more.tokens[n][more.mask[n]], f.tokens[n][f.mask[n]], rtol=1e-4, atol=1e-5)
    assert f.mask.any(1).tolist() == [True, True, True, False]
    assert not f.pooled[3].any()
    assert f.mask[1].sum() < f.mask[0].sum()
    assert not f.tokens[~f.mask].any()


@pytest.mark.parametrize("name", ["conv", "transformer", "vit"])
def test_a_token_is_of_its_time_and_frequency(name):
    """A click changes the tokens near it; of what sees one frame alone, no other."""
    module = made(name, top_db=None)
    x, valid = sounds()
    moved = x.clone()
    moved[0, :, 600:640] = 0.9  # frames 14 to 17 of 31
    change = (module(moved, valid).tokens[0] - module(x, valid).tokens[0]).abs().amax(1)
    time = change if name == "conv" else change.view(16 // {"transformer": 4, "vit": 16}[name], -1).amax(0)
    assert int(time.argmax()) in {round(len(time) * 0.5) + k for k in (-1, 0, 1)}


def test_the_norm_of_a_frame_is_the_plain_formula():
    norm = FrameNorm(2, 6)
    x = torch.randn(3, 6, 5, 4)
    y = norm(x)
    for f in range(4):
        for g in range(2):
            own = x[1, 3 * g : 3 * g + 3, :, f]
            torch.testing.assert_close(
                y[1, 3 * g : 3 * g + 3, :, f], (own - own.mean()) / (own.var(correction=0) + 1e-5).sqrt()
            )


def test_pooled_is_mean_and_maximum_of_real_frames():
    f = made("conv")(*sounds())
    for n in range(3):
        real = f.tokens[n][f.mask[n]]
        torch.testing.assert_close(f.pooled[n], real.mean(0) + real.amax(0))


def test_masks_are_drawn_in_training_of_sample_and_epoch_alone():
    settings = {"spec_augment": SpecAugment(time_width=0.5, freq_width=6)}
    module = Backbones({"s": stream()}, partial(AudioConv, mel=mel(**settings), widths=[8], groups=4), {}).train()
    x, valid = sounds()
    ids = torch.arange(4)
    batch = Batch({"s": x}, {}, {"s": valid.any(1)}, ids, ids, valid={"s": valid})
    augment = Augment({"s": stream()}, ops={}, views=2)

    def said(of, epoch):
        views = augment(of, 0, epoch)
        return module(views.inputs, views.valid, Draw(views.keys))["s"].pooled

    a, b = said(batch, 0), said(batch, 0)
    assert torch.equal(a, b)
    assert not torch.equal(a[:3], a[4:7])  # each view has its own
    assert not torch.equal(a, said(batch, 1))
    alone = said(batch.map(lambda t: t[1:2]), 0)
    torch.testing.assert_close(alone, a[[1, 5]])
    still = module.eval()(batch.inputs, batch.valid)["s"].pooled
    torch.testing.assert_close(module(batch.inputs, batch.valid, Draw(ids))["s"].pooled, still)


def test_settings_that_cannot_be_are_one_sentence():
    with pytest.raises(ValueError, match=r"widths=\[6\]: expected divisible by groups=4"):
        AudioConv(stream(), mel=mel(), widths=[6], groups=4)
    with pytest.raises(ValueError, match=r"patch=20: expected at most mel.n_mels=16; nearest: 16"):
        AudioTransformer(stream(), mel=mel(), patch=20, stride=4)
    with pytest.raises(ValueError, match="its patch of 16 doesn't divide images of 24 px"):
        AudioImage(stream(), mel=mel(n_mels=24), model="test_vit", pretrained_bands=["R", "G", "B"])


def test_a_frozen_one_stays_in_evaluation_whole():
    """Its masks too: what is kept of it never changes."""
    module = AudioImage(stream(), mel=mel(), model="test_resnet", pretrained_bands=["R", "G", "B"], freeze=True).train()
    assert not any(part.training for part in module.modules())


def test_a_backbone_that_draws_is_looked_up_in_a_cache_like_any_other():
    module = Backbones({"s": stream()}, partial(AudioConv, mel=mel(), widths=[8], groups=4), {})
    rows = torch.tensor([2, 0])
    table = Encodings(
        torch.randn(3, 4, 8), torch.randn(3, 8), torch.ones(3, 4, dtype=torch.bool), rows > 0, torch.tensor([])
    )
    module.each["s"].forward = Lookup(table)
    found = module({"s": rows}, {}, Draw(rows))["s"]
    assert torch.equal(found.pooled, table.pooled[rows])
