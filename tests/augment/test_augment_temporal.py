"""Ops on series: against slow loops, and what is not real never becomes so."""

import math

import numpy as np
import pytest
import torch

from multimodal_lab.augment.augment import Augment
from multimodal_lab.augment.channel_scale import ChannelScale
from multimodal_lab.augment.draw import Draw
from multimodal_lab.augment.jitter import Jitter
from multimodal_lab.augment.spectral import RandomBandDropout
from multimodal_lab.augment.temporal import read_at
from multimodal_lab.augment.time_crop import TimeCrop
from multimodal_lab.augment.time_warp import TimeWarp
from multimodal_lab.types import Band, Batch, Stream

ROWS, STEPS = 40, 30
MAKE = {
    "jitter": lambda p: Jitter(p=p),
    "channel_scale": lambda p: ChannelScale(p=p),
    "time_warp": lambda p: TimeWarp(p=p),
    "time_crop": lambda p: TimeCrop(p=p),
    "channel_dropout": lambda p: RandomBandDropout(fill="mean", p=p),
}


def stream(**facts):
    bands = tuple(Band(f"b{i}") for i in range(3))
    return Stream("s", "vector", bands, **{"steps": STEPS, "mean": (1.0, -2.0, 5.0), "std": (1.0, 10.0, 0.1), **facts})


def draws(seed=0):
    ids = torch.arange(ROWS)
    return Draw.start(ids, ids * 0, seed, 1)


def series():
    torch.manual_seed(0)
    x, valid = torch.randn(ROWS, 3, STEPS), torch.ones(ROWS, STEPS, dtype=torch.bool)
    for n in range(ROWS):
        valid[n, 8 + n % 20 :] = False
    valid[::3, 3:6] = False
    valid[5] = False
    return torch.where(valid[:, None], x, 7.0), valid


def batch():
    x, valid = series()
    present = valid.any(1)
    return Batch({"s": x}, {}, {"s": present}, torch.arange(ROWS), torch.arange(ROWS), valid={"s": valid})


@pytest.mark.parametrize("name", MAKE)
def test_every_op_runs_in_an_augmentation(name):
    b = batch()
    out = Augment({"s": stream()}, ops={name: MAKE[name](1.0)}, views=2)(b, 0, 0)
    x, valid = out.inputs["s"], out.valid["s"]
    assert x.shape == (2 * ROWS, 3, STEPS)
    assert x.isfinite().all()
    assert not torch.equal(x[:ROWS], x[ROWS:])
    assert torch.equal(b.inputs["s"], batch().inputs["s"])  # the input is not written to
    assert torch.equal(b.valid["s"], batch().valid["s"])
    assert torch.equal(out.present["s"], b.present["s"].repeat(2))
    assert torch.equal(valid.any(1), b.valid["s"].any(1).repeat(2))  # none is left without a step, none comes to life
    same = Augment({"s": stream()}, ops={name: MAKE[name](0.0)}, views=1)(b, 0, 0)
    assert torch.equal(same.valid["s"], b.valid["s"])
    real = b.valid["s"]
    assert torch.equal(same.inputs["s"].movedim(1, 2)[real], b.inputs["s"].movedim(1, 2)[real])


@pytest.mark.parametrize("name", MAKE)
def test_a_row_is_the_same_in_any_batch(name):
    b = batch()
    rows = torch.tensor([31, 2, 17])
    augment = Augment({"s": stream()}, ops={name: MAKE[name](0.7)}, views=1)
    all_of, few = augment(b, 3, 5), augment(b.map(lambda t: t[rows]), 3, 5)
    torch.testing.assert_close(few.inputs["s"], all_of.inputs["s"][rows])
    assert torch.equal(few.valid["s"], all_of.valid["s"][rows])
    assert not torch.equal(augment(b, 3, 6).inputs["s"], all_of.inputs["s"])


@pytest.mark.parametrize("op", [TimeWarp(p=1.0), TimeCrop(p=1.0, scale=(0.2, 0.6))])
def test_what_stood_where_nothing_was_measured_is_never_read(op):
    x, valid = series()
    a, real = op.moved(x, valid, draws(), stream())
    b, again = op.moved(torch.where(valid[:, None], x, torch.nan), valid, draws(), stream())
    assert torch.equal(real, again)
    assert torch.equal(a.movedim(1, 2)[real], b.movedim(1, 2)[real])
    assert real[valid.any(1)].any(1).all()


def test_reading_between_steps_is_the_slow_loop():
    x, valid = series()
    place = torch.rand(ROWS, 25) * (STEPS - 1)
    place[:, 0], place[:, 1] = 4.0, STEPS - 1
    y, real = read_at(x, valid, place)
    for n in range(ROWS):
        for k in range(25):
            low = math.floor(p := float(place[n, k]))
            high = min(low + 1, STEPS - 1)
            want = x[n, :, low] if p == low else x[n, :, low] + (x[n, :, high] - x[n, :, low]) * (p - low)
            torch.testing.assert_close(y[n, :, k], want, rtol=1e-4, atol=1e-5)
            assert real[n, k] == (valid[n, low] and (p == low or valid[n, high]))


def test_a_warp_is_the_integral_of_a_speed_and_keeps_both_ends():
    op, length = TimeWarp(sigma=0.5, knots=4, p=1.0), torch.tensor([30, 12, 1, 2] * 10)
    params = op.params(draws(), torch.Size([ROWS, 3, STEPS]), stream())
    place, inside = op.places(length, STEPS, params)
    for n in range(ROWS):
        last, knots = int(length[n]) - 1, params["warp_knots"][n].double().numpy()
        way = [0.0]
        for t in range(1, last + 1):
            way.append(way[-1] + math.exp(np.interp((t - 0.5) / last * 3, range(4), knots)))
        want = np.array(way) / (way[-1] or 1) * last
        np.testing.assert_allclose(place[n, : last + 1], want, atol=1e-6)
        assert place[n, last] == last
        assert inside[n].sum() == last + 1
        assert (place[n, : last + 1].diff() > 0).all()
    assert (place - torch.arange(STEPS)).abs().max() > 1  # it does warp


def test_a_crop_is_a_slice_moved_to_the_front():
    x, valid = series()
    op = TimeCrop(scale=(0.3, 0.9), p=1.0)
    params = op.params(draws(), x.shape, stream())
    y, real = op.moved(x, valid, draws(), stream())
    for n in range(ROWS):
        length = int(valid[n].nonzero().max()) + 1 if valid[n].any() else 0
        kept = max(1, round(float(params["crop_share"][n] * length)))
        first = math.floor(float(params["crop_start"][n]) * max(1, length - kept + 1))
        if not valid[n, first : first + kept].any():
            assert torch.equal(y[n], x[n])
            continue
        assert torch.equal(y[n, :, :kept], x[n, :, first : first + kept])
        assert torch.equal(real[n, :kept], valid[n, first : first + kept])
        assert not real[n, kept:].any()
        assert torch.equal(y[n, :, kept:], torch.tensor([1.0, -2.0, 5.0])[:, None].expand(3, STEPS - kept))


def test_jitter_is_in_deviations_of_each_channel_and_a_scale_is_a_factor_of_each():
    x = torch.ones(ROWS, 3, 400)
    noise = Augment({"s": stream()}, ops={"jitter": Jitter(sigma=0.2, p=1.0)}, views=1)
    b = Batch({"s": x}, {}, {"s": torch.ones(ROWS, dtype=torch.bool)}, torch.arange(ROWS), torch.arange(ROWS),
              valid={"s": torch.ones(ROWS, 400, dtype=torch.bool)})  # fmt: skip
    found = noise(b, 0, 0).inputs["s"] - 1
    torch.testing.assert_close(found.std((0, 2)), torch.tensor([0.2, 2.0, 0.02]), rtol=0.02, atol=0)
    scaled = Augment({"s": stream()}, ops={"scale": ChannelScale(sigma=0.2, p=1.0)}, views=1)(b, 0, 0).inputs["s"]
    assert (scaled.amax(2) - scaled.amin(2)).max() < 1e-6
    assert scaled[:, :, 0].std() == pytest.approx(0.2, rel=0.2)


def test_a_stream_without_steps_is_told():
    with pytest.raises(
        ValueError, match=r"augment\.ops\.crop works along the time axis, and no stream has steps; .*s \(vector\)"
    ):
        Augment({"s": stream(steps=None)}, ops={"crop": TimeCrop()}, views=1)


@pytest.mark.parametrize("name", ["time_crop", "time_warp"])
def test_a_video_is_moved_as_its_pixels_would_be_alone(name):
    x, valid = series()
    clip = x.repeat(1, 1, 1)[..., None, None] * torch.linspace(0.5, 2, 6).view(2, 3)
    op, of_clip = MAKE[name](1.0), stream(mean=(0.0, 0.0, 0.0))
    found, real = op.moved(clip, valid, draws(), of_clip)
    assert found.shape == clip.shape
    for h, w in ((0, 0), (1, 2)):
        alone, own = op.moved(clip[..., h, w], valid, draws(), of_clip)
        assert torch.equal(found[..., h, w], alone)
        assert torch.equal(real, own)


def test_streams_are_cropped_each_for_itself_or_in_step():
    """Sound of 30 steps and frames of 15 over the same seconds: together, both lose the same seconds."""
    n = torch.arange(ROWS)
    frames = torch.arange(15.0).view(1, 1, 15, 1, 1).expand(ROWS, 3, 15, 2, 2)
    sound = torch.arange(30.0).view(1, 1, 30).expand(ROWS, 3, 30)
    b = Batch({"v": frames, "s": sound}, {}, dict.fromkeys("vs", n >= 0), n, n,
              valid={"v": torch.ones(ROWS, 15, dtype=torch.bool), "s": torch.ones(ROWS, 30, dtype=torch.bool)})  # fmt: skip
    streams = {"v": Stream("v", "image", stream().bands, size=2, steps=15, rate=5.0), "s": stream(rate=10.0)}
    apart, together = (
        Augment(streams, ops={"crop": TimeCrop(p=1.0, scale=(0.4, 0.4), together=t)}, views=1)(b, 0, 0) for t in (0, 1)
    )
    first = [(o.inputs["v"][:, 0, 0, 0, 0] / 5 - o.inputs["s"][:, 0, 0] / 10).abs() for o in (apart, together)]
    assert first[0].max() > 0.5
    assert first[1].max() <= 0.2 + 1e-6
    assert (together.valid["v"].sum(1) * 2 == together.valid["s"].sum(1)).all()
