"""A training may begin with the backbones of another run, and a run may train nothing and be judged all the same."""

import json

import pytest
import torch
from test_adapt_encoders import TRAIN, weights

from multimodal_lab.adapt.trained import TrainedRunError
from multimodal_lab.config import schema
from multimodal_lab.experiment import run as experiment
from multimodal_lab.experiment.build import build_system
from multimodal_lab.experiment.reload import embed_files
from multimodal_lab.optim.optimizers import adamw

USE = ["head=classifier", "loss=cross_entropy", "augment=none", "evaluate=[head]", "fusion=concat", "adapt=encoders"]
AS_IT_BEGINS = "train.max_steps=0"
EACH = "backbones.each."


@pytest.fixture(scope="module")
def trained(composed, tmp_path_factory):
    """A self-supervised run on both modalities."""
    folder = tmp_path_factory.mktemp("pretrained")
    experiment.run(composed(*TRAIN), folder)
    return folder


@pytest.fixture
def use(composed, trained, tmp_path):
    """Fine-tune from `trained`; gives the folder."""

    def run(*overrides):
        folder = tmp_path / "use"
        experiment.run(composed(*USE, f"adapt.runs=[{trained}]", "adapt.freeze=false", *overrides), folder)
        return folder

    return run


def same(given, taken, stream):
    keys = [k for k in given if k.startswith(f"{EACH}{stream}.")]
    assert keys
    return [torch.equal(given[k], taken[k]) for k in keys]


def test_it_begins_with_the_runs_weights_and_trains_them(use, trained, tmp_path):
    given = weights(trained)
    begun = weights(use(AS_IT_BEGINS))
    assert all(same(given, begun, "rgb") + same(given, begun, "uv"))
    (tmp_path / "use").rename(tmp_path / "begun")
    folder = use("train.max_steps=3", "optim.layer_decay=0.5")
    assert not any(same(given, weights(folder), "rgb"))
    notes = json.loads((folder / "data.json").read_text())["notes"]
    assert any("encoder: rgb is rgb of" in note and "to be trained on" in note for note in notes)


def test_layers_nearer_the_data_learn_more_slowly(composed, trained, tmp_path):
    from multimodal_lab.config.instantiate import safe_instantiate

    cfg = composed(*USE, f"adapt.runs=[{trained}]", "adapt.freeze=false")
    data = safe_instantiate(cfg.data).prepare(safe_instantiate(cfg.modality), 0)
    groups = adamw(build_system(cfg, data), lr=1.0, layer_decay=0.5).param_groups
    rates = {g["name"].split("/")[1]: g["lr"] for g in groups if "below" in g["name"]}
    assert rates["1_below"] == 0.5
    assert rates["2_below"] == 0.25


@pytest.mark.parametrize("strict", ["false", "{uv: false}"])
def test_a_stream_that_no_run_has_starts_from_scratch_where_that_is_said(use, trained, strict):
    words = ["modality.uv.bands=[UV1,UV2]"]
    with pytest.raises(TrainedRunError, match=r"stream uv takes UV1, UV2, and no run has a backbone for that"):
        use(*words)
    with pytest.raises(TrainedRunError, match=r"adapt\.freeze=true would freeze it untrained; add adapt\.freeze=false"):
        use(*words, f"adapt.strict={strict}", "adapt.freeze=true")
    folder = use(*words, f"adapt.strict={strict}", AS_IT_BEGINS)
    assert all(same(weights(trained), weights(folder), "rgb"))
    assert "encoder: uv starts from scratch" in json.loads((folder / "data.json").read_text())["notes"]


def test_of_a_backbone_built_otherwise_what_fits_is_taken_and_the_rest_told(use, trained):
    with pytest.raises(TrainedRunError, match=r"take what fits with adapt\.strict=false"):
        use("backbone.widths=[8,32]")
    folder = use("backbone.widths=[8,32]", "adapt.strict=false", AS_IT_BEGINS)
    given, taken = weights(trained), weights(folder)
    fits = {k: torch.equal(v, taken[k]) for k, v in given.items() if k.startswith(EACH) and v.shape == taken[k].shape}
    assert fits
    assert all(fits.values())
    notes = json.loads((folder / "data.json").read_text())["notes"]
    assert any("encoder: rgb is rgb of" in note and "but for" in note for note in notes)


def test_an_unknown_stream_of_strict_is_told_with_the_nearest(use):
    with pytest.raises(
        TrainedRunError, match=r"adapt\.strict\.uw: no such stream; expected one of rgb, uv; nearest: uv"
    ):
        use("adapt.strict={uw: false}")


def test_only_frozen_encoders_have_features_to_keep(composed, trained, tmp_path):
    words = [*USE, f"adapt.runs=[{trained}]", "cache=features", f"cache.root={tmp_path}"]
    assert schema.check(composed(*words)) == []
    assert "this backbone trains" in "\n".join(map(str, schema.check(composed(*words, "adapt.freeze=false"))))


def test_a_run_that_trains_nothing_is_judged_and_saved(composed, tmp_path):
    words = ["evaluate=[probe,head]", "head=classifier", "loss=cross_entropy", "augment=classify", "figures=[curves]"]
    cfg = composed(*words, AS_IT_BEGINS, "train.monitor=val/total")
    experiment.run(cfg, tmp_path / "run")
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["cost/steps"] == 0
    assert {"probe/fused/species/accuracy", "head/classifier/species/accuracy", "test/total"} <= summary.keys()
    assert [p.name for p in (tmp_path / "run/checkpoints").iterdir()] == ["step_00000000"]
    assert "samples embedded" in embed_files(cfg, tmp_path / "run", tmp_path / "embedded")
    again = composed(*words, AS_IT_BEGINS, "train.monitor=val/total", "resume=auto")
    experiment.run(again, tmp_path / "run")
    assert len([*(tmp_path / "run/checkpoints").iterdir()]) == 1
