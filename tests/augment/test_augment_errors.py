import pytest
import torch

from multimodal_lab.augment import colour, geometry, spectral, texture
from multimodal_lab.augment.augment import Augment
from multimodal_lab.augment.draw import Draw
from multimodal_lab.types import COMPONENT, Band, Batch, Stream


def bands(names):
    return tuple(Band(name) for name in names)


STREAMS = {
    "rgb": Stream("rgb", "image", bands("RGB"), 24),
    "uv": Stream("uv", "image", bands(["uR", "uB"]), 24),
    "spectrum": Stream("spectrum", "vector", bands([f"{i}nm" for i in range(20)])),
    "caption": Stream("caption", "text", vocab=50, length=7),
}
DRAWS = Draw.start(torch.arange(2), torch.zeros(2, dtype=torch.int64), 1, 2)
ONE = Stream("one", "image", bands("a"), 2)
SPECTRUM = {"spectrum": STREAMS["spectrum"]}


def batch():
    on = {name: torch.ones(2, dtype=torch.bool) for name in STREAMS}
    inputs = {
        "rgb": torch.rand(2, 3, 24, 24),
        "uv": torch.rand(2, 2, 24, 24),
        "spectrum": torch.rand(2, 20),
        "caption": torch.ones(2, 7, dtype=torch.int64),
    }
    return Batch(inputs, {}, on, torch.arange(2), torch.arange(2), torch.ones(2, 1, 24, 24))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: Augment(STREAMS, ops={"g": colour.RandomGamma(streams=["uw"])}),
            r"augment\.ops\.g\.streams.*nearest: uv",
        ),
        (lambda: Augment(STREAMS, ops={"g": colour.RandomGamma(streams=["caption"])}), "caption"),
        (lambda: Augment(SPECTRUM, ops={"g": colour.RandomGamma()}), r"spectrum \(vector\)"),
        (lambda: Augment(SPECTRUM, ops={"r": geometry.RandomRotation()}), r"augment\.ops\.r .*spectrum \(vector\)"),
        (lambda: Augment(STREAMS, ops={"r": geometry.RandomRotation()}, size=8), "no op sets a size"),
        (lambda: Augment(STREAMS, ops={"r": geometry.Resize()}), r"needs augment\.size"),
        (lambda: Augment(STREAMS, ops={"r": torch.nn.ReLU()}), r"augment\.ops\.r"),
        (lambda: Augment(STREAMS, ops={}, views=0), r"augment\.views"),
    ],
)
def test_wrong_settings_are_named(make, says):
    with pytest.raises((ValueError, TypeError), match=says):
        make()


@pytest.mark.parametrize("scale", [255.0, 65535.0, -3.0, float("nan")])
def test_values_far_outside_are_refused(scale):
    b = batch()
    b.inputs["rgb"] = b.inputs["rgb"] * scale
    with pytest.raises(ValueError, match=r"stream rgb has values from .* expected about 0 to 1"):
        Augment(STREAMS, ops={"g": colour.RandomGamma()})(b, 1, 2)


@pytest.mark.parametrize(
    "ops",
    [
        {},
        {
            "flip": geometry.RandomHorizontalFlip(p=0.5),
            "drop": spectral.RandomBandDropout(),
            "e": texture.RandomErasing(),
        },
        {"never": colour.RandomGamma(p=0.0)},
        {"other": colour.RandomGamma(streams=["uv"])},
    ],
)
def test_values_far_outside_are_fine_where_no_op_of_the_stream_minds(ops):
    b = batch()
    b.inputs["rgb"] = b.inputs["rgb"] * -255
    Augment(STREAMS, ops=ops)(b, 1, 2)


def test_the_range_names_the_op_and_scalings_that_pass():
    b = batch()
    b.inputs["rgb"] = b.inputs["rgb"] * 255
    with pytest.raises(ValueError, match=r"augment\.ops\.g: .*data/scaling=percentile_clipped.*augment=none"):
        Augment(STREAMS, ops={"g": colour.RandomGamma()})(b, 1, 2)


def test_principal_components_are_refused_where_an_op_needs_a_range_and_only_there():
    parts = {"pcs": Stream("pcs", "image", (Band("PC1", unit=COMPONENT),), 24)}
    with pytest.raises(ValueError, match=r"augment\.ops\.g expects .* modality\.pcs\.pca .* augment=none"):
        Augment(parts, ops={"g": colour.RandomGamma()})
    Augment(parts, ops={"flip": geometry.RandomHorizontalFlip(p=0.5)})


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: colour.ColorJitter(brightness=-1), "ColorJitter: brightness"),
        (lambda: colour.ColorJitter(hue=0.7), "ColorJitter: hue"),
        (lambda: colour.RandomPosterize(bits=9), "bits"),
        (lambda: colour.RandomGamma(gamma=(1.2, 0.8)), "RandomGamma: gamma"),
        (lambda: texture.RandomGaussianBlur(kernel_size=4), "nearest: 5"),
        (lambda: texture.RandomGaussianBlur(border_type="mirror"), "reflect"),
        (lambda: texture.RandomErasing(scale=(0.1, 2)), "scale"),
        (lambda: texture.RandomGaussianNoise(std=-1), "std"),
        (lambda: spectral.RandomBandDropout(max_bands=0), "max_bands"),
        (lambda: texture.RandomSharpness(p=1.0)(torch.rand(2, 1, 2, 2), DRAWS, ONE), "2x2"),
        (lambda: texture.RandomGaussianBlur(p=1.0)(torch.rand(2, 1, 1, 1), DRAWS, ONE), "1x1"),
    ],
)
def test_wrong_knobs_are_named(make, says):
    with pytest.raises(ValueError, match=says):
        make()
