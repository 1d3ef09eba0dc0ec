"""Ops work in the data's own full range, whatever type the values are stored in."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from multimodal_lab.augment import colour, spectral, texture
from multimodal_lab.augment.augment import Augment
from multimodal_lab.data.dataset import Data
from multimodal_lab.data.source import Raw, full_scale
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams import scaling
from multimodal_lab.types import Band, Stream

# {kind: (type, what one of 255 steps is)}
KINDS = {
    "uint8": ("u1", 1),
    "uint16": ("u2", 257),
    "uint16_14bit": ("u2", 64),
    "uint16_12bit": ("u2", 16),
    "uint16_10bit": ("u2", 4),
    "uint16_8bit": ("u2", 1),
    "int16": ("i2", 1),
    "int32": ("i4", 1),
    "uint32": ("u4", 1),
    "int64": ("i8", 1),
    "float_0_255": ("f4", 1),
    "float_0_10000": ("f4", 40),
    "float_0_1": ("f4", 1 / 255),
}
UNITS = {"uint8": 1, "uint16": 1, "uint16_14bit": 1 / 4, "uint16_12bit": 1 / 16, "uint16_10bit": 1 / 64, "uint16_8bit": 1 / 256,
         "int16": 2**-7, "int32": 2**-23, "uint32": 2**-24, "int64": 2.0**-55, "float_0_255": 256, "float_0_10000": 8192,
         "float_0_1": 1}  # fmt: skip
OPS = {
    "noise": texture.RandomGaussianNoise(std=0.05, p=1.0),
    "brightness": colour.RandomBrightness(p=1.0),
    "jitter": colour.ColorJitter(p=1.0),
    "posterize": colour.RandomPosterize(p=1.0),
    "gamma": colour.RandomGamma(p=1.0),
    "contrast": colour.RandomContrast(p=1.0),
    "scale": spectral.RandomScale(p=1.0),
    "gray": colour.RandomGrayscale(p=1.0),
    "sharpness": texture.RandomSharpness(p=1.0),
    "blur": texture.RandomGaussianBlur(p=1.0),
    "erasing": texture.RandomErasing(value=0.5, p=1.0),
    "dropout": spectral.RandomBandDropout(fill=0.5, p=1.0),
}


class Stored:
    """Eight images (3, 16, 16) of 100 ± 15 of 255, in a type and a step."""

    def __init__(self, dtype, step):
        x = np.random.default_rng(0).normal(100, 15, (8, 3, 16, 16)).clip(0, 255)
        self.bands = tuple(Band(n) for n in "RGB")
        self.values = ((np.rint(x) if np.dtype(dtype).kind in "iu" else x) * step).astype(dtype)
        self.samples = pd.DataFrame({"id": [str(i) for i in range(8)]})

    def read(self, index, streams):
        return Raw({s.name: self.values[index] for s in streams}, None, full_scale(self.values.dtype))


def prepared(kind, policy=None):
    return Data(Stored(*KINDS[kind]), scaling=policy or scaling.DtypeMax(), split=Split(), labels=[]).prepare(
        {"rgb": {"kind": "image", "bands": "all"}}, 0
    )


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_the_same_part_of_the_data_for_every_type(kind):
    data = prepared(kind)
    stream, batch = data.streams["rgb"], data.batch(np.arange(8))
    assert stream.unit == UNITS[kind]
    out = Augment(data.streams, ops={"noise": OPS["noise"]}, views=1)(batch, 0, 0)
    added = (out.inputs["rgb"] - batch.inputs["rgb"]).double().std() / np.mean(stream.std)
    assert 0.5 < added / (0.05 * 255 / 15) < 1.5
    assert np.allclose(
        stream.std, 15 / 255 * (1 if kind in ("uint8", "uint16", "float_0_1") else stream.std[0] * 17), rtol=0.1
    )


@pytest.mark.parametrize("kind", ["uint8", "int32", "int64", "float_0_255"])
def test_values_left_as_stored_have_their_unit_too(kind):
    stream = prepared(kind, scaling.NoScaling()).streams["rgb"]
    assert stream.unit == 256
    assert np.isclose(stream.mean[0], 100, atol=2)


@pytest.mark.parametrize(
    "policy", [scaling.DatasetStats(), scaling.Percentile(), scaling.PerImageMinMax(), scaling.PerPixelStandardise()]
)
def test_what_a_policy_brings_to_one_is_taken_as_it_is(policy):
    assert prepared("uint16_12bit", policy).streams["rgb"].unit == 1


@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("unit", [2.0**-20, 256.0])
def test_an_op_does_in_any_unit_what_it_does_to_0_to_1(name, unit):
    data = prepared("uint8")
    batch, ops = data.batch(np.arange(8)), {name: OPS[name]}
    one = Augment(data.streams, ops=ops, views=2)(batch, 0, 0).inputs["rgb"]
    streams = {"rgb": replace(data.streams["rgb"], unit=unit)}
    other = batch.replace(inputs={"rgb": batch.inputs["rgb"] * unit})
    assert torch.equal(Augment(streams, ops=ops, views=2)(other, 0, 0).inputs["rgb"], one * unit)


def test_vectors_have_a_unit_too():
    streams = {"v": Stream("v", "vector", (Band("a"), Band("b")), unit=1024.0)}
    data = prepared("uint8").batch(np.arange(8))
    batch = data.replace(inputs={"v": torch.zeros(8, 2)}, present={"v": torch.ones(8, dtype=torch.bool)})
    out = Augment(streams, ops={"noise": OPS["noise"]}, views=1)(batch, 0, 0).inputs["v"]
    assert 10 < out.std() < 200


@pytest.mark.parametrize("unit", [1.0, 1024.0])
@pytest.mark.parametrize(
    "op", [texture.RandomErasing(value="mean", p=1.0), spectral.RandomBandDropout(max_bands=2, fill="mean", p=1.0)]
)
def test_what_is_erased_can_be_the_mean(op, unit):
    data = prepared("uint8")
    batch, stream = data.batch(np.arange(8)), data.streams["rgb"]
    means = torch.tensor(stream.mean)[None, :, None, None]
    out = Augment({"rgb": replace(stream, unit=unit)}, ops={"op": op}, views=1)(batch, 0, 0).inputs["rgb"]
    erased = out != batch.inputs["rgb"]
    assert erased.any()
    assert torch.allclose(out[erased], means.expand_as(out)[erased])
