"""The log-mel front end against a slow plain computation and librosa; what pads a clip or lies in a gap has no part."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from multimodal_lab.augment.draw import Draw
from multimodal_lab.augment.spec_augment import SpecAugment
from multimodal_lab.backbone.log_mel import LogMel
from multimodal_lab.backbone.stft import mel_filters
from multimodal_lab.types import Band, Stream

RATE, STEPS = 16000.0, 900
SMALL = {"n_fft": 128, "hop_length": 40, "n_mels": 8, "fmin": 100.0, "mean": 0.0, "std": 1.0}
SETTINGS = {
    "plain": {},
    "htk": {"mel_scale": "htk", "norm": "none", "fmax": 7000.0},
    "window": {"win_length": 100, "hop_length": 37},
    "log": {"log_mel": "log", "amin": 1e-3},
    "magnitude": {"power": 1.0},
    "no_log": {"log_mel": "none"},
    "all_decibels": {"top_db": None},
    "begins": {"center": False},
}


def stream(bands=1, **facts):
    return Stream("s", "vector", tuple(Band(f"b{i}") for i in range(bands)), **{"steps": STEPS, "rate": RATE, **facts})


def made(**settings):
    return LogMel(stream(), **{**SMALL, **settings})


def waves(steps=STEPS, rows=3, bands=1):
    """A tone that fades, far below noise at its end."""
    t = torch.arange(steps) / RATE
    torch.manual_seed(0)
    x = torch.stack([(500 * (i + 1) * 2 * math.pi * t).sin() * (-200 * t).exp() for i in range(rows)])[:, None]
    return (x + 1e-4 * torch.randn(rows, bands, steps)).float()


def plain(x, n_fft=128, win_length=None, hop_length=40, n_mels=8, fmin=100.0, fmax=None, mel_scale="slaney", norm="slaney",
          power=2.0, log_mel="db", amin=1e-10, top_db=80.0, center=True, **_):  # fmt: skip
    """One wave (T,) frame by frame, filter by filter, in the words of librosa's documentation."""
    length, top = win_length or n_fft, fmax or RATE / 2
    window = np.array([0.5 - 0.5 * math.cos(2 * math.pi * i / length) for i in range(length)])
    window = np.pad(window, ((n_fft - length) // 2, -(-(n_fft - length) // 2)))
    x = np.pad(x.astype(float), n_fft // 2) if center else x.astype(float)
    spectra = [np.abs(np.fft.rfft(x[k : k + n_fft] * window)) for k in range(0, len(x) - n_fft + 1, hop_length)]

    def hz(mel):
        if mel_scale == "htk":
            return 700 * (10 ** (mel / 2595) - 1)
        return mel * 200 / 3 if mel < 15 else 1000 * math.exp(math.log(6.4) / 27 * (mel - 15))

    def mel_of(f):
        if mel_scale == "htk":
            return 2595 * math.log10(1 + f / 700)
        return f * 3 / 200 if f < 1000 else 15 + math.log(f / 1000) * 27 / math.log(6.4)

    edges = [hz(m) for m in np.linspace(mel_of(fmin), mel_of(top), n_mels + 2)]
    out = np.zeros((n_mels, len(spectra)))
    for m in range(n_mels):
        low, mid, high = edges[m : m + 3]
        for k in range(n_fft // 2 + 1):
            f = k * RATE / n_fft
            weight = max(0.0, min((f - low) / (mid - low), (high - f) / (high - mid)))
            weight *= 2 / (high - low) if norm == "slaney" else 1
            out[m] += [weight * s[k] ** power for s in spectra]
    if log_mel == "none":
        return out
    if log_mel == "log":
        return np.log(np.maximum(out, amin))
    found = 10 * np.log10(np.maximum(out ** (2 / power), amin))
    return found if top_db is None else np.maximum(found, found.max() - top_db)


@pytest.mark.parametrize("name", SETTINGS)
def test_it_is_the_slow_loop(name):
    settings, x = SETTINGS[name], waves()
    y, real = made(**settings)(x, torch.ones(3, STEPS, dtype=torch.bool))
    assert y.shape[-1] == made(**settings).frames(STEPS)
    assert real.all()
    for row in range(3):
        slow = plain(x[row, 0].numpy(), **{**SMALL, **settings})
        np.testing.assert_allclose(y[row, 0].numpy(), slow, rtol=1e-5, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_it_is_librosa(name):
    import librosa

    s = {**SMALL, "win_length": None, "fmax": None, "norm": "slaney", "power": 2.0, "log_mel": "db", "center": True,
         "amin": 1e-10, "top_db": 80.0, "mel_scale": "slaney", **SETTINGS[name]}  # fmt: skip
    x = waves()
    y, _ = made(**SETTINGS[name])(x, torch.ones(3, STEPS, dtype=torch.bool))
    for row in range(3):
        mel = librosa.feature.melspectrogram(
            y=x[row, 0].numpy(), sr=RATE, htk=s["mel_scale"] == "htk", norm=None if s["norm"] == "none" else "slaney",
            **{k: s[k] for k in ("n_fft", "win_length", "hop_length", "n_mels", "fmin", "fmax", "power", "center")},
        )  # fmt: skip
        if s["log_mel"] == "db":
            mel = librosa.power_to_db(mel ** (2 / s["power"]), amin=s["amin"], top_db=s["top_db"])
        mel = np.log(np.maximum(mel, s["amin"])) if s["log_mel"] == "log" else mel
        np.testing.assert_allclose(y[row, 0].numpy(), mel, rtol=1e-5, atol=1e-4)
    filters = librosa.filters.mel(sr=RATE, n_fft=1024, n_mels=64, fmin=50.0, dtype=np.float64).T
    np.testing.assert_allclose(mel_filters(RATE, 1024, 64, 50.0, None, "slaney", "slaney").numpy(), filters, atol=1e-9)


@pytest.mark.parametrize("center", [True, False])
def test_what_pads_a_clip_changes_nothing_and_its_frames_are_those_of_the_clip_alone(center):
    module, x = made(center=center), waves()
    for length in (900, 801, 800, 799, 200, 50):
        valid = torch.arange(STEPS) < length
        y, real = module(torch.where(valid, x, 7.0), valid.expand(3, -1))
        alone, all_real = module(x[..., :length], torch.ones(3, length, dtype=torch.bool))
        frames = alone.shape[-1]
        assert all_real.all()
        assert real.sum(1).tolist() == [frames] * 3
        torch.testing.assert_close(y[..., :frames], alone, rtol=1e-4, atol=1e-4)
        assert not y[..., frames:].any()


def test_a_gap_has_no_frames_and_a_missing_row_none():
    valid = torch.ones(2, STEPS, dtype=torch.bool)
    valid[0, 200:400], valid[1] = False, False
    for center in (True, False):
        y, real = made(center=center)(torch.full((2, 1, STEPS), torch.nan).masked_fill(valid[:, None], 0.1), valid)
        frame = torch.arange(real.shape[1]) * 40
        inside = (frame > 220) & (frame < 380) if center else (frame >= 200) & (frame + 128 <= 400)
        assert real[0].tolist() == (~inside).tolist()
        assert not real[1].any()
        assert y.isfinite().all()
        assert not y[1].any()


def test_a_decibel_is_that_of_the_files_whatever_the_stream_is_normalised_by():
    x, valid = waves(bands=2), torch.ones(3, STEPS, dtype=torch.bool)
    own = stream(2, mean=(0.1, -0.2), std=(0.5, 0.0))
    normal = (x - torch.tensor([0.1, -0.2])[:, None]) / torch.tensor([0.5, 1.0])[:, None]
    y, _ = LogMel(own, **SMALL)(normal, valid)
    torch.testing.assert_close(y, LogMel(stream(2), **SMALL)(x, valid)[0], rtol=1e-4, atol=1e-2)
    scaled, _ = LogMel(stream(2), **{**SMALL, "mean": -40.0, "std": 20.0})(x, valid)
    torch.testing.assert_close(scaled * 20 - 40, LogMel(stream(2), **SMALL)(x, valid)[0], rtol=1e-4, atol=1e-4)


def test_settings_that_cannot_be_are_one_sentence():
    with pytest.raises(ValueError, match=r"stream 's' has no rate, .* set modality.s.rate=16000"):
        LogMel(stream(rate=None))
    with pytest.raises(ValueError, match="fmin=100, fmax=9000: expected fmin < fmax <= 8000 Hz, half the rate"):
        made(fmax=9000.0)
    with pytest.raises(ValueError, match=r"n_mels=60: [0-9]+ filters lie between two bins of n_fft=128, 125 Hz apart"):
        made(n_mels=60)
    with pytest.raises(ValueError, match="win_length=200: expected at most n_fft=128"):
        made(win_length=200)


def draws(epoch=0, rows=200):
    ids = torch.arange(rows)
    return Draw.start(ids, ids * 0, 0, epoch)


def test_spec_augment_masks_spans_of_time_and_bins_of_each_clip():
    op = SpecAugment(time_masks=1, time_width=0.5, freq_masks=1, freq_width=3)
    x, real = torch.ones(200, 2, 8, 20), torch.arange(20) < 12
    y = op(x, real.expand(200, -1), draws())
    assert torch.equal(y[:, 0], y[:, 1])
    masked = y[:, 0] == 0
    time, freq = masked.all(1), masked.all(2)
    assert torch.equal(masked, time[:, None] | freq[:, :, None])
    assert not time[:, 12:].any()
    for found, widest in ((time, 6), (freq, 3)):
        runs = F.pad(found.int(), (1, 0)).diff(dim=1).clamp(min=0).sum(1)
        assert runs.amax() == 1
        assert sorted(found.sum(1).unique().tolist()) == list(range(widest + 1))  # every width is drawn
        assert found.float().mean(0)[:12].gt(0).all()  # every place is
    assert torch.equal(op(x[7:9], real.expand(2, -1), draws().rows(slice(7, 9))), y[7:9])
    assert not torch.equal(op(x, real.expand(200, -1), draws(1)), y)
    half = SpecAugment(time_width=0.5, p=0.5)(x, real.expand(200, -1), draws())
    assert 60 < (half == 1).flatten(1).all(1).sum() < 140
    assert (SpecAugment(time_masks=0, freq_masks=0)(x, real.expand(200, -1), draws()) == 1).all()


def test_it_acts_in_training_alone_and_on_what_is_drawn():
    module, x = made(spec_augment=SpecAugment(time_width=0.5)), waves()
    valid = torch.ones(3, STEPS, dtype=torch.bool)
    still, _ = module(x, valid)
    moved, _ = module(x, valid, draws(rows=3))
    assert not torch.equal(still, moved)
    assert torch.equal(moved, module(x, valid, draws(rows=3))[0])
    assert torch.equal(module.eval()(x, valid, draws(rows=3))[0], still)
