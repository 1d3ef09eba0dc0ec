"""`band_correlation=measured`: first convolutions of other bands vary as those of red, green and blue on the training split."""

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn import functional

from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.config.problem import ConfigError
from multimodal_lab.experiment.build import build_system, modality
from multimodal_lab.experiment.compose import build_system as of_streams
from multimodal_lab.experiment.first_scale import FACT
from multimodal_lab.types import Band, Stream

REST = "[B01,B05,B06,B07,B08,B8A,B09,B11,B12]"
SETS = {
    2: ["modality=s1"],
    9: ["modality=s2_rest"],
    11: ["modality=s1", f"modality.s1.bands={REST[:-1]},VV,VH]"],
    12: ["modality=s2"],
}
COMMON = ["data=bigearthnet", "data.root=null", "data.source.made.patches=60", "data.source.made.size=32", "fusion=separate",
          "head=classifier", "loss=bce", "label=labels"]  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    found = {}
    for name in ("test_resnet", "test_vit"):
        torch.manual_seed(1)
        model = timm.create_model(name, pretrained=False, num_classes=0, **({"img_size": 32} if "vit" in name else {}))
        found[name] = tmp_path_factory.mktemp("weights") / f"{name}.safetensors"
        save_file(model.state_dict(), found[name])
    return found


def prepared(composed, weights, *more, model="test_resnet"):
    backbone = ["backbone=image", f"backbone.model={model}", f"backbone.weights={weights[model]}"]
    measured = "backbone.band_correlation=measured"
    cfg = composed(*COMMON, *backbone, measured, *more, small=False)
    return cfg, safe_instantiate(cfg.data).prepare(modality(cfg), cfg.seed)


@torch.no_grad()
def varies(conv, x):
    """By hand, in plain torch: the root of the mean variance of its channels."""
    y = functional.conv2d(x.double(), conv.weight.double(), None, conv.stride, conv.padding)
    return float(torch.stack([y[:, i].var(correction=0) for i in range(y.shape[1])]).mean().sqrt())


def seen(system, data, name):
    return system.input(name, data.batch(data.splits["train"]))


@pytest.mark.parametrize("bands", SETS)
def test_other_bands_vary_as_red_green_and_blue(composed, weights, bands):
    cfg, data = prepared(composed, weights, *SETS[bands])
    rgb_cfg, rgb = prepared(composed, weights, "modality=s2_rgb")
    own, reference = build_system(cfg, data), build_system(rgb_cfg, rgb)
    name = next(iter(data.streams))
    assert data.streams[name].channels == bands
    wanted = varies(reference.backbones.each["s2_rgb"].model.conv1[0], seen(reference, rgb, "s2_rgb"))
    assert varies(own.backbones.each[name].model.conv1[0], seen(own, data, name)) == pytest.approx(wanted, rel=1e-4)
    assert FACT not in rgb.facts  # it has all of its kernels
    assert any(note.startswith(f"first convolution of {name}: times ") for note in data.notes)


def test_a_patch_embedding_and_a_shared_model_too(composed, weights):
    cfg, data = prepared(composed, weights, "modality=s2", model="test_vit")
    build_system(cfg, data)
    assert 0.2 < data.facts[FACT]["s2"][0] < 1  # twelve bands that are alike
    target = "backbone._target_=multimodal_lab.backbone.shared_image.SharedImage"
    shared, both = prepared(composed, weights, "modality=s1_s2", "fusion=concat", target)
    system = build_system(shared, both)
    spread = {n: varies(system.backbones.shared.stems.stems[n], seen(system, both, n)) for n in both.streams}
    assert spread["s1"] == pytest.approx(spread["s2"], rel=1e-4)


def test_a_trained_run_keeps_what_was_measured(composed, weights):
    """Frozen kernels that no checkpoint holds are laid again: by the record, whatever the data are now."""
    frozen = ["modality=s1", "backbone.freeze=true", "train.save=trained"]
    cfg, data = prepared(composed, weights, *frozen)
    before = build_system(cfg, data).backbones.each["s1"].model.conv1[0].weight
    cfg.data.source.made.seed = 5  # other patches
    again = safe_instantiate(cfg.data).prepare(modality(cfg), cfg.seed, frozen=data.record())
    after = build_system(cfg, again, trained=True).backbones.each["s1"].model.conv1[0].weight
    np.testing.assert_array_equal(before.numpy(), after.numpy())


def test_data_without_red_green_and_blue_are_refused(composed, weights):
    cfg, data = prepared(composed, weights, "modality=s1", "backbone.pretrained_bands=[R,G,B]")
    with pytest.raises(
        ValueError, match=r"is to vary as R, G, B do, and the data hold no such bands beside it; give a number"
    ):
        build_system(cfg, data)


def test_without_data_it_is_refused(weights):
    words = [
        "backbone=image",
        "backbone.model=test_resnet",
        f"backbone.weights={weights['test_resnet']}",
        "fusion=separate",
    ]
    streams = {"s1": Stream("s1", bands=(Band("VV"), Band("VH")), size=32)}
    with pytest.raises(
        ConfigError, match="the first convolution of s1 is scaled by the training split; leave out `streams`"
    ):
        of_streams([*words, "backbone.band_correlation=measured"], streams=streams, classes={"labels": 2})
