"""Pretrained kernels laid on any bands by name."""

import pytest
import torch
from torch.nn import functional as F

from multimodal_lab.backbone.inflate import inflate, places
from multimodal_lab.types import Band, Stream

RGB = ["R|B04", "G|B03", "B|B02"]


def stream(*names, nm=()):
    nm = nm or [None] * len(names)
    return Stream("s", bands=tuple(Band(n, w) for n, w in zip(names, nm)), size=32)


def many(c, start=("R", "G", "B")):
    names = [*start[: min(c, len(start))], *(f"x{i}" for i in range(c - len(start)))]
    return stream(*names, nm=[400.0 + i for i in range(c)])


@pytest.fixture
def kernels():
    g = torch.Generator().manual_seed(0)
    return torch.randn(24, 3, 4, 4, generator=g) * torch.tensor([1.0, 2.0, 0.5])[:, None, None] + 0.3


def test_named_bands_take_their_kernels_wherever_they_stand(kernels):
    assert torch.equal(inflate(kernels, stream("R", "G", "B"), RGB), kernels)
    assert torch.equal(inflate(kernels, stream("B", "R", "G"), RGB), kernels[:, [2, 0, 1]])
    assert torch.equal(inflate(kernels, stream("B02", "B03", "B04"), RGB), kernels.flip(1))
    out = inflate(kernels, stream("UV", "B", "G", "R"), RGB, "zero")
    assert torch.equal(out[:, 1:], kernels.flip(1))
    assert not out[:, 0].any()


def test_other_bands_take_the_mean_or_the_nearest_in_wavelength(kernels):
    out = inflate(kernels, stream("R", "UV", "G", "B"), RGB, "mean")
    scale = out[0, 0, 0, 0] / kernels[0, 0, 0, 0]
    torch.testing.assert_close(out[:, 1], scale * kernels.mean(1))
    out = inflate(kernels, stream("UV", "NIR", "Y", nm=[365.0, 850.0, 560.0]), RGB, "nearest")
    scale = out[0, 0, 0, 0] / kernels[0, 2, 0, 0]
    torch.testing.assert_close(out, scale * kernels[:, [2, 0, 1]])
    own = stream("R", "UV", "G", nm=[700.0, 365.0, 380.0])  # the stream's own G is nearer to UV than the usual B
    out = inflate(kernels, own, RGB, "nearest")
    torch.testing.assert_close(out[:, 1], out[:, 2])


@pytest.mark.parametrize("rule", ["mean", "nearest", "zero", "random"])
@pytest.mark.parametrize("c", [2, 9, 11, 12, 408])
def test_activations_keep_their_scale_within_a_twentieth(kernels, rule, c):
    torch.manual_seed(c)
    out = inflate(kernels, many(c), RGB, rule)
    assert out.shape == (24, c, 4, 4)
    of_rgb = F.conv2d(torch.randn(512, 3, 8, 8), kernels, stride=4).square().mean().sqrt()
    of_all = F.conv2d(torch.randn(512, c, 8, 8), out, stride=4).square().mean().sqrt()
    assert of_all / of_rgb == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 1.0])
def test_correlated_bands_keep_their_variance_too(kernels, correlation):
    def draw(n, c):
        alike, apart = torch.randn(n, 1, 4, 4), torch.randn(n, c, 4, 4)
        return correlation**0.5 * alike + (1 - correlation) ** 0.5 * apart

    torch.manual_seed(1)
    out = inflate(kernels, many(13), RGB, "mean", correlation)
    ratio = F.conv2d(draw(4000, 13), out).square().mean() / F.conv2d(draw(4000, 3), kernels).square().mean()
    assert ratio == pytest.approx(1, rel=0.1)


def test_the_variance_is_kept_by_the_scale_and_not_by_luck(kernels):
    unscaled = torch.cat([kernels, kernels.mean(1, keepdim=True).expand(-1, 405, -1, -1)], 1)
    assert unscaled.square().sum() / kernels.square().sum() > 10
    assert inflate(kernels, many(408), RGB).square().sum() / kernels.square().sum() == pytest.approx(1, rel=1e-5)


def test_grey_bands_by_the_mean_are_the_usual_three_over_c(kernels):
    out = inflate(kernels, many(12, start=()), RGB, "mean", 1.0)
    torch.testing.assert_close(out, kernels.mean(1, keepdim=True).expand(-1, 12, -1, -1) * 3 / 12)


def test_weights_of_any_number_of_bands(kernels):
    s2 = inflate(kernels, stream("VH", "B08", "VV"), ["VV", "VH", "B08"])
    assert torch.equal(s2, kernels[:, [1, 2, 0]])


def test_refusals(kernels):
    with pytest.raises(ValueError, match="every kernel would be zero; choose mean"):
        inflate(kernels, stream("VV", "VH"), RGB, "zero")
    with pytest.raises(ValueError, match="band VV has no wavelength"):
        inflate(kernels, stream("VV", "VH"), RGB, "nearest")
    with pytest.raises(ValueError, match="names 2 bands"):
        inflate(kernels, stream("R"), ["R", "G"])
    with pytest.raises(ValueError, match="R and B04"):
        places(stream("R", "B04").bands, RGB)
    with pytest.raises(ValueError, match="two kernels"):
        places(stream("R", "G").bands, ["R", "G", "R"])
