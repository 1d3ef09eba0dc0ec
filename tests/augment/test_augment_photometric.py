from dataclasses import replace
from itertools import permutations

import kornia.augmentation as kornia
import pytest
import torch

from multimodal_lab.augment import colour, mask_patches, spectral, texture
from multimodal_lab.augment.draw import Draw
from multimodal_lab.types import Band, Stream

ROWS = 12
ALL = [1, 2, 3, 7, 12, 408]
MAKE = {
    "color_jitter": lambda **k: colour.ColorJitter(**{"hue": 0.1, "p": 1.0} | k),
    "random_grayscale": lambda **k: colour.RandomGrayscale(**{"p": 1.0} | k),
    "random_posterize": lambda **k: colour.RandomPosterize(**{"bits": 1, "p": 1.0} | k),
    "random_brightness": lambda **k: colour.RandomBrightness(**{"p": 1.0} | k),
    "random_contrast": lambda **k: colour.RandomContrast(**{"p": 1.0} | k),
    "random_gamma": lambda **k: colour.RandomGamma(**{"p": 1.0} | k),
    "random_gaussian_blur": lambda **k: texture.RandomGaussianBlur(**{"p": 1.0} | k),
    "random_sharpness": lambda **k: texture.RandomSharpness(**{"p": 1.0} | k),
    "random_erasing": lambda **k: texture.RandomErasing(**{"p": 1.0} | k),
    "mask_patches": lambda **k: mask_patches.MaskPatches(**{"patch_size": 4, "p": 1.0} | k),
    "random_gaussian_noise": lambda **k: texture.RandomGaussianNoise(**{"p": 1.0} | k),
    "random_band_dropout": lambda **k: spectral.RandomBandDropout(**{"p": 1.0} | k),
    "random_spectral_shift": lambda **k: spectral.RandomSpectralShift(**{"p": 1.0} | k),
    "random_scale": lambda **k: spectral.RandomScale(**{"p": 1.0} | k),
}


def stream(bands, rgb=False):
    return Stream("s", "image", tuple(Band(n) for n in ("RGB" if rgb else [f"b{i}" for i in range(bands)])), 16)


def draws(rows=ROWS, seed=1):
    ids = torch.arange(rows)
    return Draw.start(ids, ids * 0, seed, 2)


def image(bands, rows=ROWS, size=(16, 17), low=0.0, high=1.0):
    torch.manual_seed(0)
    return low + (high - low) * torch.rand(rows, bands, *size)


@pytest.mark.parametrize("bands", ALL)
@pytest.mark.parametrize("name", MAKE)
def test_every_op_runs_on_any_number_of_bands(name, bands):
    x = image(bands, rows=3)
    before = x.clone()
    y = MAKE[name]()(x, draws(3), stream(bands))
    assert y.shape == x.shape
    assert y.isfinite().all()
    assert torch.equal(x, before)  # the input is not written to
    one_band_says_nothing = bands == 1 and name in (
        "random_grayscale",
        "random_band_dropout",
        "random_spectral_shift",
    )
    changed = (y != x).flatten(1).any(1)
    assert not changed.any() if one_band_says_nothing else changed.any()


def theirs(op, x, params):
    shared = {"batch_prob": torch.ones(len(x)), "forward_input_shape": torch.tensor(x.shape)}
    return op(x, params=params | shared)


@pytest.mark.parametrize("bands", [1, 3, 7])
@pytest.mark.parametrize(
    ("ours", "kornias"),
    [
        (colour.RandomGrayscale(), kornia.RandomGrayscale(p=1.0)),
        (colour.RandomPosterize(bits=0), kornia.RandomPosterize(0.0, p=1.0)),
        (colour.RandomBrightness(per_band=False), kornia.RandomBrightness(p=1.0, clip_output=False)),
        (colour.RandomContrast(per_band=False), kornia.RandomContrast(p=1.0, clip_output=False)),
        (colour.RandomGamma(gain=(0.5, 1.0), per_band=False), kornia.RandomGamma(p=1.0)),
        (texture.RandomGaussianBlur(), kornia.RandomGaussianBlur(3, (0.1, 2.0), p=1.0)),
        (texture.RandomGaussianBlur(kernel_size=7), kornia.RandomGaussianBlur(7, (0.1, 2.0), p=1.0)),
        (
            texture.RandomGaussianBlur(border_type="replicate"),
            kornia.RandomGaussianBlur(3, (0.1, 2.0), border_type="replicate", p=1.0),
        ),
        (texture.RandomSharpness(sharpness=1.0), kornia.RandomSharpness(1.0, p=1.0)),
        (texture.RandomErasing(value=0.3), kornia.RandomErasing(value=0.3, p=1.0)),
        (texture.RandomGaussianNoise(), kornia.RandomGaussianNoise(p=1.0)),
    ],
)
def test_equal_to_kornia_given_the_same_draw(ours, kornias, bands):
    x, seen = image(bands), stream(bands, rgb=bands == 3)
    params = ours.params(draws(), x.shape, seen)
    want = theirs(kornias, x, params)
    torch.testing.assert_close(ours.apply(x, params, seen), want, atol=2e-6, rtol=0)


@pytest.mark.parametrize("row", range(24))
def test_jitter_is_kornias_in_every_order(row):
    x, seen = image(3, rows=1, low=0.35, high=0.6), stream(3, rgb=True)
    op = colour.ColorJitter(brightness=0.3, contrast=0.4, saturation=0.4, hue=0.2)
    params = op.params(draws(), x.shape, seen)
    params = {k: v[:1] for k, v in params.items()}
    order = list(permutations(range(4)))[row]
    want = theirs(kornia.ColorJitter(0.3, 0.4, 0.4, 0.2, p=1.0), x, params | {"order": torch.tensor(order)})
    got = op.apply(x, params | {"order": torch.tensor([order])}, seen)
    assert (want - x).abs().max() > 0.02
    torch.testing.assert_close(got, want, atol=2e-6, rtol=0)


@pytest.mark.parametrize("bands", [1, 4, 3])
def test_jitter_without_colour_is_kornias_for_bands_that_are_not_rgb(bands):
    x, seen = image(bands, rows=1, low=0.35, high=0.6), stream(bands)
    op = colour.ColorJitter(brightness=0.3, contrast=0.0 if bands == 3 else 0.4, saturation=0.0, hue=0.0)
    params = {k: v[:1] for k, v in op.params(draws(), x.shape, seen).items()}
    want = theirs(kornia.ColorJitter(0.3, 0.4, p=1.0), x, params | {"order": params["order"][0]})
    torch.testing.assert_close(op.apply(x, params, seen), want, atol=2e-6, rtol=0)


def test_jitter_of_any_bands_by_its_formula():
    x, seen = image(5, rows=2), stream(5)
    op = colour.ColorJitter(brightness=0.3, contrast=0.4, saturation=0.5, hue=0.2)
    params = op.params(draws(2), x.shape, seen)
    assert (params["order"][:, 0] == 3).all()
    got = op.apply(x, params, seen)
    for i in range(2):
        y = x[i]
        assert sorted(params["order"][i].tolist()) == [0, 1, 2, 3]
        for kind in params["order"][i].tolist():
            if kind == 0:
                y = y * params["brightness_factor"][i]
            if kind == 1:
                f = params["contrast_factor"][i]
                y = y * f + y.mean() * (1 - f)
            if kind == 2:
                f = params["saturation_factor"][i]
                y = y * f + y.mean(0, keepdim=True) * (1 - f)
            if kind == 3:
                y = y * (1 + params["hue_factor"][i])[:, None, None]
        torch.testing.assert_close(got[i], y, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("bands", [3, 7])
def test_nothing_is_cut_to_the_unit_interval(name, bands):
    x = image(bands, low=1.2, high=2.0)
    x[:, :, 0, 0] = -0.2
    y = MAKE[name]()(x, draws(), stream(bands, rgb=bands == 3))
    assert y[:, :, 4:, 4:].amax() > 1.05
    if name not in ("random_erasing", "random_band_dropout"):
        assert (y[:, :, 4:, 4:].amax((1, 2, 3)) > 1.01).all()
        assert (y[:, :, 0, 0].amin() < 0) or name in ("random_gaussian_blur",)


def test_hue_survives_gray_black_and_negative_pixels():
    x = torch.zeros(ROWS, 3, 4, 4)
    x[:, :, 1] = 0.5
    x[:, :, 2] = -0.3
    x[:, 0, 3] = -1e-8
    op = colour.ColorJitter(brightness=0, contrast=0, saturation=0, hue=0.5, p=1.0)
    y = op(x, draws(), stream(3, rgb=True))
    assert y.isfinite().all()
    torch.testing.assert_close(y[:, :, :3], x[:, :, :3])  # no colour, nothing to turn


def test_gamma_mirrors_below_zero():
    x = torch.full((ROWS, 2, 1, 1), 0.5)
    op = MAKE["random_gamma"]()
    assert torch.equal(op(-x, draws(), stream(2)), -op(x, draws(), stream(2)))


@pytest.mark.parametrize("name", MAKE)
def test_p_zero_is_identity_and_p_is_the_frequency(name):
    x = image(4, rows=600, size=(6, 6))
    assert torch.equal(MAKE[name](p=0.0)(x, draws(600), stream(4)), x)
    op = MAKE[name](p=0.3)
    acted = (op(x, draws(600), stream(4)) != x).flatten(1).any(1)
    sure = (MAKE[name]()(x, draws(600), stream(4)) != x).flatten(1).any(1)
    assert sure.float().mean() > 0.8  # posterize keeps all bits, or jitter all values, now and then
    assert abs(acted.float().mean() / sure.float().mean() - 0.3) < 0.07
    assert torch.equal(acted & sure, acted)


KNOBS = [
    ("color_jitter", {"brightness": 0.5}),
    ("color_jitter", {"contrast": 0.5}),
    ("color_jitter", {"saturation": 0.5}),
    ("color_jitter", {"hue": 0.3}),
    ("random_posterize", {"bits": 4}),
    ("random_brightness", {"brightness": [0.5, 0.6]}),
    ("random_brightness", {"per_band": False}),
    ("random_contrast", {"contrast": [0.5, 0.6]}),
    ("random_contrast", {"per_band": False}),
    ("random_gamma", {"gamma": [0.5, 0.6]}),
    ("random_gamma", {"gain": [0.5, 0.6]}),
    ("random_gamma", {"per_band": False}),
    ("random_gaussian_blur", {"kernel_size": 5}),
    ("random_gaussian_blur", {"sigma": [2.0, 3.0]}),
    ("random_gaussian_blur", {"border_type": "constant"}),
    ("random_sharpness", {"sharpness": 2.0}),
    ("random_erasing", {"scale": [0.5, 0.6]}),
    ("random_erasing", {"ratio": [2.0, 3.0]}),
    ("random_erasing", {"value": 0.5}),
    ("random_gaussian_noise", {"mean": 0.5}),
    ("random_gaussian_noise", {"std": 0.5}),
    ("random_band_dropout", {"max_bands": 3}),
    ("random_band_dropout", {"fill": 0.5}),
    ("random_spectral_shift", {"max_shift": 3.0}),
    ("random_scale", {"scale": [0.5, 0.6]}),
]


@pytest.mark.parametrize(("name", "knob"), KNOBS)
@pytest.mark.parametrize("bands", [3, 5])
def test_every_knob_changes_something(name, knob, bands):
    x, seen = image(bands), stream(bands, rgb=bands == 3)
    assert (MAKE[name]()(x, draws(), seen) - MAKE[name](**knob)(x, draws(), seen)).abs().max() > 1e-3


def test_band_dropout_counts():
    x = torch.ones(2000, 6, 1, 1)
    left = spectral.RandomBandDropout(max_bands=3, p=1.0)(x, draws(2000), stream(6))[..., 0, 0]
    counts = (left == 0).sum(1)
    assert set(counts.tolist()) == {1, 2, 3}
    assert ((left == 0).float().mean(0) - 2 / 6).abs().max() < 0.05
    left = spectral.RandomBandDropout(max_bands=99, p=1.0)(x, draws(2000), stream(6))
    assert (left.sum(1) >= 1).all()


def test_spectral_shift_slides_a_ramp():
    x = torch.arange(20.0).view(1, 20, 1, 1).repeat(ROWS, 1, 2, 2) / 20
    op = spectral.RandomSpectralShift(max_shift=2.5, p=1.0)
    shift = op.params(draws(), x.shape, stream(20))["shift"]
    assert shift.abs().max() <= 2.5
    want = (x - shift.view(-1, 1, 1, 1) / 20).clamp(0, 19 / 20)
    torch.testing.assert_close(op.apply(x, {"shift": shift}, stream(20)), want)


def test_erasing_distribution_is_kornias():
    torch.manual_seed(0)
    shape = torch.Size((4000, 1, 64, 48))
    ours = texture.RandomErasing().params(draws(4000), shape, stream(1))
    want = kornia.RandomErasing(p=1.0).generate_parameters(shape)
    for key in ("xs", "ys", "widths", "heights"):
        for q in (0.1, 0.5, 0.9):
            assert abs(ours[key].quantile(q) - want[key].quantile(q)) < 2.1, key


def test_whole_patches_are_masked_in_all_bands_as_many_as_asked_and_by_the_mean():
    of = replace(stream(2), mean=(0.25, 0.75))
    y = mask_patches.MaskPatches(patch_size=8, mask_ratio=0.5, p=1.0)(image(2), draws(), of)  # 2 x 3 patches of 16 x 17
    gone = y == torch.tensor([0.25, 0.75]).view(1, 2, 1, 1)
    assert torch.equal(gone[:, 0], gone[:, 1])
    whole = [gone[:, 0, r : r + 8, c : c + 8].flatten(1) for r in (0, 8) for c in (0, 8, 16)]
    masked = torch.stack([one.all(1) for one in whole], 1)
    assert torch.equal(masked, torch.stack([one.any(1) for one in whole], 1))
    assert (masked.sum(1) == 3).all()
    assert len(masked.unique(dim=0)) > 6  # rows differ
    assert torch.equal(y[~gone], image(2)[~gone])
