"""Size, resizing and normalisation of each stream: equal to what timm and torchvision do with PIL images."""

import numpy as np
import pytest
import timm.data
import torch
from made_source import Made
from PIL import Image as Pillow
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import resize

from multimodal_lab.augment.blank import blanked
from multimodal_lab.data.dataset import Data
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.nodata import at_size
from multimodal_lab.data.streams.resize import Resize
from multimodal_lab.data.streams.scaling import DtypeMax, FixedRange, NoScaling, PerImageMinMax
from multimodal_lab.types import Band

MEAN, STD = timm.data.IMAGENET_DEFAULT_MEAN, timm.data.IMAGENET_DEFAULT_STD
SHAPES = [(60, 60), (61, 90), (90, 47), (20, 31)]
RGB = {"kind": "image", "bands": ["R", "G", "B"]}
STREAMS = {"image": RGB, "small": {**RGB, "size": 4}}


class Photographs(Made):
    """8-bit images of R, G, B and UV1, of every shape in turn."""

    def __init__(self, shapes=SHAPES, masked=False, low=0, high=256):
        super().__init__(masked=False)
        rng = np.random.default_rng(1)
        self.bands = (*(Band(n) for n in "RGB"), Band("UV1", 370.0))
        # a picture of few coarse cells has hard edges, where a cubic overshoots
        self.arrays = [
            np.kron(rng.integers(low, high, (4, h // 5 + 1, w // 5 + 1)), np.ones((1, 5, 5)))[:, :h, :w].astype("uint8")
            for h, w in (shapes[i % len(shapes)] for i in range(24))
        ]
        self.masks = [rng.random(x.shape[1:]) > 0.3 if masked else None for x in self.arrays]
        self.full_scale = 255.0


def prepared(source, modality, scaling=None, frozen=None, **more):
    how = {"size": 32, "resize_mode": "crop", "labels": []} | more
    data = Data(source, scaling=scaling or DtypeMax(), split=Split(train=0.5, val=0.0, test=0.5), **how)
    return data.prepare(modality, 0, frozen=frozen)


def normalised(data, name, rows):
    x, stream = data.batch(rows).inputs[name], data.streams[name]
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (stream.mean, stream.std))
    return (x - mean) / std


@pytest.mark.parametrize(("rule", "pil"), [("area", "bilinear"), ("bicubic", "bicubic")])
@pytest.mark.parametrize(
    ("fit", "crop_pct", "timms"), [("crop", 0.875, "center"), ("crop", 1.0, "center"), ("stretch", 1.0, "squash")]
)
def test_a_stream_is_what_timms_transform_makes_of_the_picture(rule, pil, fit, crop_pct, timms):
    source = Photographs(low=50, high=206)  # no overshoot reaches the ends, which PIL may cut after either axis
    own = {"resize": rule, "resize_mode": fit, "crop_pct": crop_pct, "size": 32, "normalise": "imagenet"}
    found = normalised(prepared(source, {"rgb": {**RGB, **own}}, size=7, resize_mode="pad"), "rgb", np.arange(4))
    transform = timm.data.create_transform(
        32, interpolation=pil, crop_pct=crop_pct, crop_mode=timms, mean=MEAN, std=STD
    )
    for i in range(4):
        want = transform(Pillow.fromarray(np.moveaxis(source.arrays[i][:3], 0, -1)))
        off = (found[i] - want).abs() * torch.tensor(STD).view(-1, 1, 1) * 255
        # PIL rounds to whole numbers twice, after the rows and after the columns
        assert off.max() < 1.6, (SHAPES[i], off.max())
        assert off.mean() < 0.4


@pytest.mark.parametrize("shape", SHAPES)
def test_bicubic_is_cut_as_torchvisions_is(shape):
    source = Photographs([shape])
    data = prepared(source, {"rgb": {**RGB, "resize": "bicubic", "resize_mode": "stretch"}})
    want = resize(torch.from_numpy(source.arrays[0][:3]), [32, 32], InterpolationMode.BICUBIC, antialias=True)
    assert (data.batch(np.arange(1)).inputs["rgb"][0] * 255 - want).abs().max() < 1.6


def test_bicubic_is_cut_where_the_type_ends_and_kept_of_floats():
    x = np.zeros((1, 8, 8), dtype=np.float32)
    x[:, :, 4:] = 1
    free = Resize(5, "bicubic", "stretch").image(x, None)
    assert free.min() < -0.01
    assert free.max() > 1.01
    ends = np.array([[0.0, 1.0]], dtype=np.float32)
    assert np.array_equal(Resize(5, "bicubic", "stretch").image(x, None, ends), free.clip(0, 1))


@pytest.mark.parametrize("rule", ["area", "bicubic"])
def test_what_lies_outside_the_mask_has_no_part_whatever_it_is(rule):
    rng = np.random.default_rng(0)
    x, mask = rng.random((2, 9, 14), dtype=np.float32), rng.random((9, 14)) > 0.6
    resize = Resize(6, rule, "crop", 0.8)
    inside = resize.image(x, mask)
    assert np.array_equal(inside, resize.image(np.where(mask, x, np.float32(1e6)), mask))
    small = resize.mask(mask)
    assert inside[:, small].min() > -0.3
    assert inside[:, small].max() < 1.3
    assert np.allclose(resize.image(np.full_like(x, 0.5), mask)[:, small], 0.5, atol=1e-5)


def test_streams_of_one_sample_have_sizes_of_their_own_and_one_mask():
    source = Photographs([(40, 40)], masked=True)
    data = prepared(source, {**STREAMS, "uv": {"kind": "image", "bands": ["UV1"], "size": 8}})
    batch = data.batch(np.arange(3))
    assert {name: tuple(x.shape[1:]) for name, x in batch.inputs.items()} == {
        "image": (3, 32, 32), "small": (3, 4, 4), "uv": (1, 8, 8),
    }  # fmt: skip
    assert batch.mask.shape == (3, 1, 32, 32)
    assert {name: s.size for name, s in data.streams.items()} == {"image": 32, "small": 4, "uv": 8}
    for name, x in batch.inputs.items():  # blank outside the mask at its own size
        fill = torch.tensor(data.streams[name].fill).view(1, -1, 1, 1)
        own = torch.from_numpy(np.stack([at_size(m[0].numpy() > 0, x.shape[-1]) for m in batch.mask]))[:, None]
        assert torch.equal(torch.where(own, x, fill), x)
    again = blanked(
        batch.map(lambda x: x + 1 if x.is_floating_point() and x.ndim == 4 and x.shape[1] != 1 else x),
        ["small"],
        data.streams,
    )
    own = torch.nn.functional.interpolate(batch.mask, (4, 4), mode="nearest-exact") > 0
    fill = torch.tensor(data.streams["small"].fill).view(1, -1, 1, 1)
    assert torch.equal(again.inputs["small"], torch.where(own, batch.inputs["small"] + 1, fill))


def test_streams_that_show_other_parts_have_no_mask_in_common():
    source = Photographs([(40, 60)], masked=True)
    data = prepared(source, {"image": RGB, "whole": {**RGB, "resize_mode": "pad"}})
    batch = data.batch(np.arange(2))
    assert batch.mask is None
    assert (batch.inputs["whole"][:, :, 0] == torch.tensor(data.streams["whole"].fill)[:, None]).all()  # the frame's


def test_a_mask_at_another_size_is_read_to_the_nearest_pixel():
    mask = np.arange(36).reshape(6, 6) % 5 > 1
    want = torch.nn.functional.interpolate(torch.from_numpy(mask[None, None]).float(), (9, 9), mode="nearest-exact")
    assert np.array_equal(at_size(mask, 9), want[0, 0].numpy() > 0.5)


@pytest.mark.parametrize("scaling", [DtypeMax(), NoScaling(), FixedRange(low=10, high=300)])
def test_imagenets_statistics_come_in_the_units_that_scaling_makes(scaling):
    source = Photographs([(32, 32)])
    rows = np.arange(3)
    data = prepared(source, {"odd": {"kind": "image", "bands": ["B", "R", "G"], "normalise": "imagenet"}}, scaling)
    x = torch.from_numpy(np.stack(source.arrays[:3])[:, [2, 0, 1]].astype("float32")) / 255
    mean, std = (torch.tensor(v)[[2, 0, 1]].view(-1, 1, 1) for v in (MEAN, STD))
    torch.testing.assert_close(normalised(data, "odd", rows), (x - mean) / std, rtol=1e-4, atol=1e-5)
    assert data.streams["odd"].fill == data.streams["odd"].mean  # what is blank is 0 to the network


@pytest.mark.parametrize("scaling", [NoScaling(), FixedRange(low=10, high=300)])
def test_a_white_level_says_what_a_picture_takes_for_one(scaling):
    source = Photographs([(32, 32)])
    own = {"normalise": "sat493m", "white_level": 200}
    data = prepared(source, {"rgb": {**RGB, **own}}, scaling)
    x = torch.from_numpy(np.stack(source.arrays[:3])[:, :3].astype("float32")) / 200
    published = ([0.430, 0.411, 0.296], [0.213, 0.156, 0.143])
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in published)
    torch.testing.assert_close(normalised(data, "rgb", np.arange(3)), (x - mean) / std, rtol=1e-4, atol=1e-5)
    assert "normalise: rgb by the mean and std of SAT-493M, white at 200" in data.notes


def test_bands_that_the_weights_do_not_know_keep_the_training_splits_and_a_note_says_so():
    source = Photographs([(32, 32)])
    by = prepared(source, {"four": {"kind": "image", "bands": "all"}}).streams["four"]
    weights = {"mean": [0.5, 0.4], "std": [0.2, 0.1], "bands": ["R|B04", "G"], "of": "some weights"}
    data = prepared(source, {"four": {"kind": "image", "bands": "all", "normalise": weights}})
    assert data.streams["four"].mean == pytest.approx((0.5, 0.4, *by.mean[2:]))
    assert data.streams["four"].std == pytest.approx((0.2, 0.1, *by.std[2:]))
    assert "normalise: four by the mean and std of some weights; B, UV1 by those of the training split" in data.notes


def test_given_numbers_are_taken_as_they_are():
    source = Photographs([(32, 32)])
    own = {"mean": 0.5, "std": [0.1, 0.2, 0.3]}
    data = prepared(source, {"rgb": {**RGB, "normalise": own}})
    assert data.streams["rgb"].mean == (0.5,) * 3
    assert data.streams["rgb"].std == (0.1, 0.2, 0.3)


@pytest.mark.parametrize(
    ("own", "scaling", "words"),
    [
        ({"bands": ["UV1"], "normalise": "imagenet"}, None, "ImageNet knows the bands R.*has none of them \\(UV1\\)"),
        ({"normalise": "imagenet"}, PerImageMinMax(), "per_image_minmax does not keep; choose data/scaling=dtype_max"),
        ({"normalise": "backbone"}, None, "no backbone has told"),
        ({"normalise": {"mean": [1, 2], "std": 1}}, None, r"normalise\.mean: 2 numbers for 3 bands"),
        ({"normalise": {"mean": 0, "std": [1, 0, 1]}}, None, r"normalise\.std: 0 is not above 0"),
        ({"normalise": {"mean": 0}}, None, r"normalise\.std: missing"),
        ({"white_level": 200}, None, r"rgb\.white_level: .*expected normalise=imagenet, sat493m or backbone .*found train$"),
        ({"normalise": "imagenet", "white_level": 0}, None, r"white_level: 0 is not a number above 0"),
        ({"crop_pct": 0.9, "resize_mode": "pad"}, None, r"crop_pct=0\.9 goes with resize_mode=crop"),
        ({"size": 16, "resize": "none"}, None, r"60 x 60 pixels, expected modality\.rgb\.size 16"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_sentence(own, scaling, words):
    with pytest.raises(DataError, match=words) as error:
        prepared(Photographs(), {"rgb": {**RGB, **own}}, scaling)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("key", "value"), [("size", 8), ("normalise", "imagenet")])
def test_a_key_of_images_is_refused_elsewhere(key, value):
    modality = {"image": RGB, "text": {"kind": "text", "field": "text", key: value}}
    with pytest.raises(DataError, match=f"modality.text: {key} belongs to an? "):
        prepared(Photographs(), modality)


def test_a_run_is_read_again_as_it_was_resized():
    source = Photographs()
    trained = prepared(source, STREAMS)
    again = prepared(source, STREAMS, frozen=trained.record())
    assert torch.equal(again.batch(np.arange(2)).inputs["small"], trained.batch(np.arange(2)).inputs["small"])
    words = r"modality\.small: resized by \{size: 8\} here, but the run was trained with \{size: 4\}"
    with pytest.raises(DataError, match=words):
        prepared(source, {**STREAMS, "small": {**RGB, "size": 8}}, frozen=trained.record())
