"""What an image processor says of sizes becomes facts of a stream, or is refused in one sentence."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as tv
from transformers import CLIPImageProcessor, SiglipImageProcessor

from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.resize import Resize
from multimodal_lab.experiment import preprocessing
from multimodal_lab.pretrained.processor import processor, resizing

BICUBIC = {"resize": "bicubic", "crop_pct": 1.0}


@pytest.mark.parametrize(
    ("own", "facts"),
    [
        (CLIPImageProcessor(), {"size": 224, "resize_mode": "crop", **BICUBIC}),
        (SiglipImageProcessor(resample=2), {"size": 224, "resize_mode": "stretch", "resize": "area", "crop_pct": 1.0}),
        (
            CLIPImageProcessor(size={"shortest_edge": 256}, resample=2),
            {"size": 224, "resize_mode": "crop", "resize": "area", "crop_pct": 0.875},
        ),
    ],
)
def test_sizes_are_facts_of_a_stream(own, facts):
    assert resizing(own, "k") == facts


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (CLIPImageProcessor(do_center_crop=False), "CLIPImageProcessor resizes to {'shortest_edge': 224}"),
        (SiglipImageProcessor(resample=1), "resample 1; expected one square side, bilinear or bicubic"),
        (SiglipImageProcessor(size={"height": 20, "width": 30}), r"resizes to {'height': 20, 'width': 30}"),
        (SiglipImageProcessor(do_resize=False), "Give size, resize and resize_mode yourself"),
    ],
)
def test_what_a_stream_has_no_words_for_is_refused(own, words):
    with pytest.raises(ValueError, match=words):
        resizing(own, "k")


def test_a_directory_without_a_processor_is_one_sentence(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"no preprocessor_config\.json or processor_config\.json is in it"):
        processor(str(tmp_path), "backbone.weights")
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "Mine"}))
    with pytest.raises(ValueError, match="its image processor can't be built"):
        processor(str(tmp_path), "backbone.weights")


@pytest.mark.parametrize("rule", ["area", "bicubic"])
@pytest.mark.parametrize("shape", [(61, 83), (32, 32), (20, 90), (200, 31)])
def test_whole_numbers_are_resized_as_torchvision_and_nearly_as_pil_does(rule, shape):
    x = np.random.default_rng(0).integers(0, 256, (3, *shape), dtype=np.uint8)
    found = Resize(32, rule, "stretch", stored=True).whole(x)
    by = {"area": tv.InterpolationMode.BILINEAR, "bicubic": tv.InterpolationMode.BICUBIC}[rule]
    want = tv.resize(torch.from_numpy(x), [32, 32], interpolation=by, antialias=True)
    assert (found == want.numpy()).all()
    pil = Image.fromarray(x.transpose(1, 2, 0)).resize((32, 32), {"area": 2, "bicubic": 3}[rule])
    assert np.abs(found.astype(int) - np.asarray(pil).transpose(2, 0, 1)).max() <= 3
    with pytest.raises(DataError, match=r"resize_stored=true resizes whole numbers of 8 bits, found float32"):
        Resize(32, rule, "stretch", stored=True).whole(x.astype(np.float32))


def test_a_processor_that_does_more_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    CLIPImageProcessor(rescale_factor=1 / 200).save_pretrained(tmp_path)
    facts = {"size": 224, "resize_mode": "crop", **BICUBIC}
    with pytest.raises(ValueError, match=r"k=backbone: CLIPImageProcessor in \S+ does more to an image than to resize"):
        preprocessing.tried(facts, str(tmp_path), "k")
