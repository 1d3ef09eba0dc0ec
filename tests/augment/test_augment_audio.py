"""Ops on sound: against slow sums over single steps; the ratio of signal and noise is that of the real steps."""

import math

import pytest
import torch

from multimodal_lab.augment.add_noise import AddBackground, AddNoise
from multimodal_lab.augment.augment import Augment
from multimodal_lab.augment.draw import Draw
from multimodal_lab.augment.gain import Gain
from multimodal_lab.augment.random_crop import RandomCrop
from multimodal_lab.types import Band, Batch, Stream

ROWS, STEPS = 24, 400
STREAM = Stream("s", "vector", (Band("left"), Band("right")), steps=STEPS, rate=8000.0)


def sounds(steps=STEPS):
    torch.manual_seed(0)
    x, valid = torch.randn(ROWS, 2, steps), torch.ones(ROWS, steps, dtype=torch.bool)
    for n in range(ROWS):
        valid[n, 60 + 10 * n :] = False
    valid[4, 10:30], valid[7] = False, False
    return torch.where(valid[:, None], x, 0.0), valid


def batch():
    x, valid = sounds()
    ids = torch.arange(ROWS)
    return Batch({"s": x}, {}, {"s": valid.any(1)}, ids, ids, valid={"s": valid})


def augmented(op, epoch=0, of=None):
    return Augment({"s": STREAM}, ops={"op": op}, views=1)(of or batch(), 0, epoch)


def decibels(x, noise, n, real, behind):
    """Of one row, step by step."""

    def of(y, steps):
        squares = [float(y[n, c, t]) ** 2 for c in range(2) for t in range(y.shape[2]) if steps[t]]
        return sum(squares) / len(squares)

    return 10 * math.log10(of(x, real) / of(noise, behind))


@pytest.mark.parametrize("color", ["white", "pink"])
def test_noise_is_as_loud_as_it_says_over_the_real_steps(color):
    b, (x, valid) = batch(), sounds()
    out = augmented(AddNoise(snr=(10.0, 20.0), color=color, p=1.0))
    assert torch.equal(out.valid["s"], b.valid["s"])
    noise, found = out.inputs["s"] - x, []
    for n in (0, 3, 4, 23):
        assert not noise[n][:, ~valid[n]].any()
        found.append(decibels(x, noise, n, valid[n], valid[n]))
        assert 10 - 1e-3 <= found[-1] <= 20 + 1e-3
    assert len({round(v, 3) for v in found}) == 4
    assert not out.inputs["s"][7].any()
    quiet = b.replace(inputs={"s": torch.zeros_like(x)})
    assert not augmented(AddNoise(p=1.0), of=quiet).inputs["s"].any()


def test_pink_noise_has_as_much_power_in_every_octave_and_white_twice_as_much():
    ids = torch.arange(200)
    draw = Draw.start(ids, ids * 0, 0, 0)
    for color, times in (("white", 2.0), ("pink", 1.0)):
        noise = AddNoise(color=color).params(draw, torch.Size((200, 1, 512)), STREAM)["noise"]
        spectrum = torch.fft.rfft(noise).abs().square().mean((0, 1))
        octaves = torch.stack([spectrum[8:16].sum(), spectrum[16:32].sum(), spectrum[32:64].sum()])
        torch.testing.assert_close(octaves[1:] / octaves[:-1], torch.tensor([times] * 2), rtol=0.15, atol=0)


def test_noise_does_not_depend_on_what_a_batch_is_padded_to():
    op, (x, valid) = AddNoise(p=1.0, color="pink"), sounds()
    ids = torch.arange(ROWS)
    draw = Draw.start(ids, ids * 0, 0, 0)
    whole, _ = op.moved(x, valid, draw, STREAM)
    short, _ = op.moved(x[:3, :, :100], valid[:3, :100], draw.rows(slice(3)), STREAM)
    torch.testing.assert_close(short, whole[:3, :, :100])


def test_another_sound_of_the_batch_is_behind_and_the_label_stays():
    b, (x, valid) = batch(), sounds()
    b = b.replace(targets={"y": torch.arange(ROWS)})
    out = augmented(AddBackground(snr=(5.0, 8.0), p=1.0), of=b)
    assert torch.equal(out.targets["y"], b.targets["y"])
    behind = out.inputs["s"] - x
    partners = []
    alone = [n for n in range(ROWS) if not behind[n].any()]
    assert 7 in alone
    assert len(alone) == 2  # the missing row, and the one whose partner it is
    for n in [n for n in (0, 3, 4, 22, 23) if n not in alone]:
        likely = [float((behind[n] * x[m]).sum().abs() / (x[m].norm() * behind[n].norm() + 1e-9)) for m in range(ROWS)]
        m = max(range(ROWS), key=likely.__getitem__)
        both = valid[n] & valid[m]
        scale = behind[n][:, both].norm() / x[m][:, both].norm()
        torch.testing.assert_close(behind[n][:, both], scale * x[m][:, both], rtol=1e-3, atol=1e-4)
        partners.append(m)
        power = x[n][:, valid[n]].square().mean() / (scale * x[m][:, valid[m]]).square().mean()
        assert 5 - 1e-2 <= 10 * math.log10(power) <= 8 + 1e-2
    assert len(set(partners)) == len(partners)
    assert not out.inputs["s"][7].any()
    assert out.inputs["s"].isfinite().all()
    assert torch.equal(augmented(AddBackground(p=0.0), of=b).inputs["s"], x)
    assert AddBackground(p=0.5).changes({}) == []
    with pytest.raises(ValueError, match="works along the time axis, and no stream has steps"):
        AddBackground().prepare("add_background", {"s": Stream("s", "vector", (Band("a"),))}, {})


def test_gain_is_in_decibels():
    b = batch()
    ratio = augmented(Gain(gain=(-6.0, 12.0), p=1.0)).inputs["s"] / b.inputs["s"]
    for n in (0, 5, 23):
        own = ratio[n][ratio[n].isfinite()]
        torch.testing.assert_close(own, own[:1].expand_as(own))
        assert -6 <= 20 * math.log10(float(own[0])) <= 12
    with pytest.raises(ValueError, match="Gain: gain"):
        Gain(gain=(6.0, -6.0))


def test_a_crop_is_a_part_of_the_recording_and_makes_the_batch_shorter():
    x, valid = sounds()
    out = augmented(RandomCrop(steps=80))
    y, real, starts = out.inputs["s"], out.valid["s"], set()
    assert y.shape == (ROWS, 2, 80)
    for n in range(ROWS):
        length = 60 + 10 * n
        if n == 7:
            assert not real[n].any()
            continue
        fits = [k for k in range(max(length - 80, 0) + 1) if torch.equal(y[n], x[n, :, k : k + 80])]
        assert len(fits) == 1, n
        assert torch.equal(real[n], valid[n, fits[0] : fits[0] + 80])
        starts.add(fits[0])
    assert len(starts) > 8
    assert out.valid["s"].shape == (ROWS, 80)
    assert augmented(RandomCrop(steps=10_000)).inputs["s"].shape[2] == STEPS
    assert not torch.equal(augmented(RandomCrop(steps=80), epoch=1).inputs["s"], y)
    gap = torch.zeros(1, 100, dtype=torch.bool)
    gap[:, -1] = True  # one real step, at the end: it is kept wherever the draw lies
    one = RandomCrop(steps=10).moved(torch.ones(1, 2, 100), gap, Draw(torch.tensor([5])), STREAM)[1]
    assert one.sum() == 1
    tall = RandomCrop(steps=80).moved(
        x[..., None, None].expand(-1, -1, -1, 2, 3), valid, Draw(torch.arange(ROWS)), STREAM
    )[0]
    flat = RandomCrop(steps=80).moved(x, valid, Draw(torch.arange(ROWS)), STREAM)[0]
    assert torch.equal(tall, flat[..., None, None].expand_as(tall))  # a video's frames as a sound's values
