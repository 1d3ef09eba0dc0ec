"""Backbones of a trained run serve another, unless they have seen what that one is judged on."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from multimodal_lab.adapt import trained as trained_run
from multimodal_lab.adapt.trained import TrainedRunError
from multimodal_lab.checkpoint import store
from multimodal_lab.config import schema
from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.data import kinds
from multimodal_lab.data.content import packed, unpacked
from multimodal_lab.data.fitted_cache import choices
from multimodal_lab.data.kind import StreamStatistics
from multimodal_lab.data.streams.resize import Resize
from multimodal_lab.data.streams.scaling import DtypeMax
from multimodal_lab.experiment import run as experiment
from multimodal_lab.experiment.reload import embed_files
from multimodal_lab.types import Stream

TRAIN = ["fusion=separate", "loss=simclr", "evaluate=[collapse]", "train.max_steps=2", "train.validate_every=0"]
USE = [
    "head=classifier",
    "loss=cross_entropy",
    "augment=none",
    "evaluate=[collapse]",
    "train.max_steps=2",
    "adapt=encoders",
]


@pytest.fixture(scope="module")
def trained(composed, tmp_path_factory):
    """A run on both modalities, each by itself."""
    folder = tmp_path_factory.mktemp("encoders")
    experiment.run(composed(*TRAIN), folder)
    return folder


@pytest.fixture
def use(composed, trained, tmp_path):
    """Run with encoders of `trained`; gives the folder."""

    def run(*overrides, runs=None):
        folder = tmp_path / "use"
        experiment.run(composed(*USE, f"adapt.runs=[{runs or trained}]", *overrides), folder)
        return folder

    run.data = lambda: safe_instantiate(composed(*USE, "fusion=concat").data).prepare(
        OmegaConf.to_container(composed(*USE, "fusion=concat").modality, resolve=True), 0
    )
    return run


def weights(folder):
    return store.weights(store.CheckpointStore(folder / "checkpoints", 1).newest())


def test_each_stream_has_the_backbone_and_normalisation_of_its_bands_and_keeps_them(use, trained, tmp_path, composed):
    folder = use("modality=rgb_rgb", "fusion=concat", "cache=features", f"cache.root={tmp_path / 'cache'}")
    given, taken = weights(trained), weights(folder)
    names = [k.removeprefix("backbones.each.rgb.") for k in given if k.startswith("backbones.each.rgb.")]
    assert names
    for stream in ("rgb", "again"):
        assert all(torch.equal(taken[f"backbones.each.{stream}.{k}"], given[f"backbones.each.rgb.{k}"]) for k in names)
        assert torch.equal(taken[f"normalise.{stream}.mean"], given["normalise.rgb.mean"])
    assert len(list((tmp_path / "cache").rglob("tensors.safetensors"))) == 1
    notes = json.loads((folder / "data.json").read_text())["notes"]
    assert any("encoder: again is rgb of" in note for note in notes)
    cfg = composed(*USE, f"adapt.runs=[{trained}]", "modality=rgb_rgb", "fusion=concat")
    moved = trained.with_name(f"{trained.name}_moved")
    trained.rename(moved)  # a trained run needs its encoders' runs no more
    try:
        assert "samples embedded" in embed_files(cfg, folder, tmp_path / "embedded")
    finally:
        moved.rename(trained)


@pytest.mark.parametrize("split", ["data.split.seed=1", "data.split.by=null"])
def test_encoders_that_have_seen_held_out_samples_or_groups_are_refused(use, split):
    with pytest.raises(TrainedRunError, match=r"scaled|saw stream|was trained on \d+ of the \d+ test samples"):
        use("fusion=concat", split)


def test_the_sentence_names_how_many_and_the_split_to_take(use, trained, tmp_path):
    """The run's record of its splits is what counts: here test and validation change places."""
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    record = json.loads((other / "data.json").read_text())
    splits = record["splits"]
    splits["val"], splits["test"] = splits["test"], splits["val"]
    (other / "data.json").write_text(json.dumps(record))
    expected = rf"trained on {len(splits['val'])} of the {len(splits['val'])} test samples.*data\.split\.seed=0"
    with pytest.raises(TrainedRunError, match=expected):
        use("fusion=concat", runs=other)


def test_another_of_the_same_group_counts_as_seen(use, trained, tmp_path):
    """The left side of a bird is in its test part here, the right one was trained on there."""
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    record = json.loads((other / "data.json").read_text())
    twin = record["splits"]["test"][0]
    turned = twin.replace("left", "right") if "left" in twin else twin.replace("right", "left")
    record["splits"]["train"].append(turned)
    record["splits"]["test"] = []
    (other / "data.json").write_text(json.dumps(record))
    with pytest.raises(
        TrainedRunError, match=r"was trained on 2 of the \d+ test samples here, or on others of their groups"
    ):
        use("fusion=concat", runs=other)


def test_what_the_encoder_has_seen_is_known_by_its_pixels_under_any_name(use, trained, tmp_path):
    """The run's samples have other names in its record; one picture of its training is in the test part here."""
    record = json.loads((trained / "data.json").read_text())
    kept = {part: len(unpacked(text)) for part, text in record["content"]["rgb"].items()}
    assert kept == {part: len(record["splits"][part]) for part in ("train", "val")}
    record["splits"] = {part: [f"renamed_{i}" for i in ids] for part, ids in record["splits"].items()}
    own = dict(record["content"]["rgb"])

    def noted(name, content):
        other = tmp_path / name
        shutil.copytree(trained, other)
        (other / "data.json").write_text(json.dumps({**record, "content": content}))
        shutil.rmtree(tmp_path / "use", ignore_errors=True)
        return " ".join(json.loads((use("fusion=concat", runs=other) / "data.json").read_text())["notes"])

    assert "digests" not in noted("same", record["content"])  # none of it is held out here
    leaked = packed(np.append(unpacked(own["train"]), _held_out(use)))
    with pytest.raises(
        TrainedRunError, match=r"was trained on 2 of the \d+ test samples here, or on others of their groups"
    ):
        noted("leaked", {**record["content"], "rgb": {**own, "train": leaked}})
    with pytest.raises(TrainedRunError, match=r"damaged: the digests of its samples are damaged"):
        noted("damaged", {"rgb": {"train": "?"}})
    assert noted("earlier", {}).count("keeps no digests of the samples that it was trained on") == 1


def _held_out(use):
    """The digest of one picture of the test part."""
    data = use.data()
    return data.content("rgb", data.splits["test"][:1])


WRONG = {
    "data.size=16": r"data\.resize: .* here, but .* was trained with",
    "data.background=keep": r"data\.background: keep here, but .* was trained with zero",
    "modality.rgb.bands=[R,G]": r"stream rgb takes R, G, and no run has a backbone for that; .* has rgb, uv",
    "backbone.widths=[8,32]": r"is not built as that of rgb here; choose the backbone of that run",
    "backbone=shared": r"a shared backbone reads several streams",
}


@pytest.mark.parametrize("override", WRONG)
def test_encoders_that_do_not_fit_are_refused(use, override):
    words = [override, *(["backbone.freeze=true"] if override == "backbone=shared" else [])]
    with pytest.raises(TrainedRunError, match=WRONG[override]):
        use("fusion=concat", *words)


def test_a_run_that_is_not_there_or_not_finished_is_told_before_anything_is_built(composed, trained, tmp_path):
    (tmp_path / "begun").mkdir()
    near = trained.with_name(trained.name + "x")
    said = "\n".join(
        map(str, schema.check(composed(*USE, "fusion=concat", f"adapt.runs=[{near},{tmp_path / 'begun'}]")))
    )
    assert f"adapt.runs.0={near}"[:60] in said
    assert f"nearest: {trained}" in said
    assert "adapt.runs.1=" in said
    assert "no finished run here (expected summary.json in it)" in said


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (
            {"tokenizer": "{a}"},
            r"stream text has tokenizer \w{8} here, and .* read words with tokenizer \w{8}: the same numbers",
        ),
        ({"length": 9}, r"modality.text.length: 8 here, but .* read words at 9; add modality.text.length=9"),
        ({}, None),
    ],
)
def test_an_encoder_of_another_tokenizer_is_refused(before, said):
    reader = SimpleNamespace(scaling=DtypeMax(), resize=Resize(None, "area", "pad"), background="mean", nodata="any")
    reader.fitted = {"text": StreamStatistics(tokenizer="{b}", vocab=30)}
    reader.plans = {"text": SimpleNamespace(resize={}, stored=Stream("text", "text"))}
    reader.kinds = {"text": kinds.get("text")}
    data = SimpleNamespace(reader=reader, streams={"text": Stream("text", "text", length=8)})
    facts = {**asdict(reader.fitted["text"]), "length": 8, **before}
    run = trained_run.Trained(Path("old"), {"choices": choices(reader), "streams": {"words": facts}}, {}, Path("old"))
    if said is None:
        trained_run.require_same_inputs(run, "words", data, "text")
    else:
        with pytest.raises(TrainedRunError, match=said):
            trained_run.require_same_inputs(run, "words", data, "text")
