"""Whatever an encoding depends on is in its key: each changed alone gives another, and nothing else does."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from multimodal_lab.backbone.convnet import ConvNet
from multimodal_lab.cache import facts, store
from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.config.plain import as_plain
from multimodal_lab.data.loading.unreadable import Bad
from multimodal_lab.experiment.build import build_system

FROZEN = [
    "head=classifier",
    "loss=cross_entropy",
    "augment=none",
    "backbone.freeze=true",
    "modality=rgb_rgb",
    "fusion=concat",
]
FROZEN += ["data.source.individuals=24", "data.batch_size=4"]


@pytest.fixture(scope="module")
def made(composed):
    """A function of overrides to (system, data, the plain node of its backbone)."""

    def make(*overrides):
        cfg = composed(*FROZEN, *overrides)
        torch.manual_seed(cfg.seed)
        modality = OmegaConf.to_container(cfg.modality, resolve=True)
        data = safe_instantiate(cfg.data).prepare(modality, cfg.seed)
        return build_system(cfg, data), data, as_plain(OmegaConf.masked_copy(cfg, ["backbone"]))["backbone"]

    return make


@pytest.fixture(scope="module")
def plain(made):
    return made()


def key(made, name="rgb", device="cpu", moved=None):
    system, data, node = made
    return store.key(facts.encoding(system, data, name, node, torch.device(device), moved or {}))


CHANGES = {
    "weights": ["seed=1"],
    "bands": ["modality.rgb.bands=[G,R,B]"],
    "repeat of the bands": ["+modality.rgb.repeat=2"],
    "components": ["+modality.rgb.pca=3"],
    "scaling policy": ["data/scaling=per_pixel_standardise"],
    "size": ["data.size=16"],
    "mask policy": ["data.background=keep"],
    "resize": ["data.resize=none"],
    "fit": ["data.resize_mode=stretch"],
    "statistics of the training split": ["data.split.seed=1"],
    "data": ["data.source.noise=0.03"],
    "samples": ["data.source.individuals=28"],
}
SAME = {
    "other stages": ["fusion=attention", "head.dropout=0.5", "label=sex"],
    "how it is loaded": ["data.batch_size=8", "data.workers=1", "data.cache=false"],
    "how it was frozen": ["backbone.freeze=false", "adapt=freeze"],
    "a whole stream re-paired": ["data.shuffle={stream: again}"],
    "labels": ["data.labels=[species,sex]"],
}


@pytest.mark.parametrize("what", CHANGES)
def test_it_is_another_entry_where_this_changes(made, plain, what):
    assert key(made(*CHANGES[what])) != key(plain)


@pytest.mark.parametrize("what", SAME)
def test_it_is_the_same_entry_whatever_this_is(made, plain, what):
    assert key(made(*SAME[what])) == key(plain)


def test_what_no_config_changes_alone(plain):
    system, data, node = plain
    before = key(plain)
    assert key(plain, device="cuda") != before
    assert key(plain, moved={"from": np.arange(3)}) != before
    assert key(plain, moved={"from": np.arange(3)}) != key(plain, moved={"from": np.array([1, 0, 2])})
    assert key((system, data, {**node, "pool": "cls"})) != before
    bad, data.bad = data.bad, Bad({3: "unreadable"})
    assert key(plain) != before
    data.bad = bad
    names, data.reader.names = data.reader.names, data.reader.names[::-1]
    assert key(plain) != before
    data.reader.names = names
    mean = system.normalise["rgb"].mean
    mean[0] += 1e-6
    assert key(plain) != before
    mean[0] -= 1e-6
    system.normalise["rgb"].mean = data_mean(data)
    assert key(plain) == before


def data_mean(data):
    return torch.tensor(data.streams["rgb"].mean).view(-1, 1, 1)


def test_another_class_of_the_same_weights_is_another_entry(plain):
    system = plain[0]
    before = key(plain)

    class Other(ConvNet):
        pass

    backbone = system.backbones.each["rgb"]
    backbone.__class__ = Other
    try:
        assert key(plain) != before
    finally:
        backbone.__class__ = ConvNet


def test_the_name_of_a_stream_is_no_part(plain):
    """The second of two equal streams has weights of its own here, until it is given the first's."""
    system = plain[0]
    assert key(plain, "again") != key(plain, "rgb")
    system.backbones.each["again"].load_state_dict(system.backbones.each["rgb"].state_dict())
    assert key(plain, "again") == key(plain, "rgb")


def test_an_image_beside_counts_where_its_missing_pixels_are_blank_in_this_one(made, plain, monkeypatch):
    other = made("modality.again.bands=[G,R,B]")
    assert key(other) == key(plain)
    for one in (plain, other):
        monkeypatch.setattr(one[1].reader.fitted["again"], "missing", {"of": 9, "some": 1, "share": 0.1, "none": 0})
    assert key(other) != key(plain)
    for one in (plain, other):
        monkeypatch.setattr(one[1].reader, "nodata", "all")
    assert key(other) == key(plain)


TEXT = ["+modality.text={kind: text, field: caption, vocab: 50, length: 12}", "+backbone@backbones.text=text",
        "backbones.text.width=8", "backbones.text.layers=1", "backbones.text.freeze=true"]  # fmt: skip


def test_the_texts_the_tokenizer_and_the_length_are_part_of_a_texts_key_and_the_size_of_images_is_not(
    made, monkeypatch
):
    found = made(*TEXT)
    data, before = found[1], key(found, "text")
    assert key(made(*TEXT, "data.size=16"), "text") == before
    plans, fitted = data.reader.plans, data.reader.fitted
    changes = [
        (data, "fingerprint", "of other texts"),
        (fitted["text"], "tokenizer", fitted["text"].tokenizer.replace("bird", "fish")),
        (data.reader, "plans", {**plans, "text": replace(plans["text"], length=11)}),
        (data.reader, "names", data.reader.names[::-1]),
    ]
    for owner, name, value in changes:
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, value)
            assert key(found, "text") != before, name
    assert key(found, "text") == before
