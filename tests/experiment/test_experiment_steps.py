"""Streams with a time axis through whole runs: loading, micro-batches, two ranks, kept features, new recordings."""

import json

import forked
import numpy as np
import pytest

from multimodal_lab.config.problem import ConfigError
from multimodal_lab.data.source import DataError
from multimodal_lab.data.synthetic.motions import Motions
from multimodal_lab.embed import configured
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.thumbnails import load
from multimodal_lab.experiment import run as experiment
from multimodal_lab.experiment.reload import embed_files
from multimodal_lab.predict import load as load_run
from multimodal_lab.types import Stream

BASE = [
    "experiment=sensor", "data.source.subjects=4", "data.source.seconds=[0.6,1.0]", "data.source.missing=0.2", "augment=none",
    "data.cache=false", "backbone.widths=[8,16]", "backbone.dropout=0", "head.dropout=0", "train.epochs=1", "train.log_every=1",
    "log=none", "figures=[]", "evaluate=[]", "optim=sgd", "optim.lr=0.01",
]  # fmt: skip


@pytest.fixture(scope="module")
def ran(composed, tmp_path_factory):
    """A function of overrides to the folder of the run; each is run once."""
    known = {}

    def run(*overrides):
        if overrides not in known:
            known[overrides] = tmp_path_factory.mktemp("run")
            experiment.run(composed(*BASE, *overrides, small=False), known[overrides])
        return known[overrides]

    return run


def losses(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row["train/total"] for row in rows if "train/total" in row]


@pytest.mark.parametrize("how", ["data.workers=1", "data.cache=true"])
def test_loading_by_others_changes_no_bit(ran, how):
    assert losses(ran(how)) == losses(ran())


@pytest.mark.parametrize("how", ["train.micro_batch=12", "train.accumulate_steps=2"])
def test_parts_of_a_batch_are_the_batch(ran, how):
    whole = losses(ran())
    more = ["data.batch_size=16"] if "accumulate" in how else []
    assert losses(ran(how, *more)) == pytest.approx(whole, rel=1e-5)


def test_kept_features_are_those_of_a_frozen_backbone(ran, tmp_path):
    frozen = ran("backbone.freeze=true")
    kept = ran("backbone.freeze=true", "cache=features", f"cache.root={tmp_path}")
    again = ran("backbone.freeze=true", "cache=features", f"cache.root={tmp_path}", "seed=0")
    assert losses(frozen) == losses(kept) == losses(again)
    a, b = (Embeddings.load(folder / "embeddings") for folder in (frozen, kept))
    assert all((a.vectors[name] == b.vectors[name]).all() for name in a.vectors)


def test_two_ranks_are_one(ran, tmp_path):
    for rank in forked.ranks("multimodal_lab.run", [*BASE, f"dir={tmp_path}"], 2):
        assert rank.returncode == 0, rank.stderr[-3000:]
    assert losses(tmp_path) == pytest.approx(losses(ran()), rel=1e-5)


def test_every_recording_has_its_picture(ran):
    rows, pictures = load(ran() / "thumbnails.npz")
    assert pictures.keys() == {"wrist", "chest"}
    assert len(rows) == 256
    there = pictures["chest"].reshape(len(rows), -1).any(1)
    assert 0.7 < there.mean() < 0.9  # a missing one is black
    assert pictures["wrist"].reshape(len(rows), -1).any(1).all()


def test_new_recordings_are_padded_to_the_steps_of_the_run(ran, tmp_path):
    folder = ran()
    learnt = json.loads((folder / "data.json").read_text())["streams"]["wrist"]["steps"]
    embed_files(configured(folder, ["data.source.seconds=[0.5,0.6]", "data.source.seed=1"]), folder, tmp_path / "short")
    assert len(Embeddings.load(tmp_path / "short")) == 256
    longer = ["data.source.seconds=[1.2,1.4]"]
    with pytest.raises(
        DataError, match=rf"steps, expected at most {learnt}, as the longest of the training split; modality"
    ):
        embed_files(configured(folder, longer), folder, tmp_path / "long")
    cut = [*longer, "+modality.wrist.longer=cut", "+modality.chest.longer=cut"]
    embed_files(configured(folder, cut), folder, tmp_path / "long")
    assert len(Embeddings.load(tmp_path / "long")) == 256
    with pytest.raises((ConfigError, DataError), match="steps"):
        embed_files(configured(folder, ["modality.wrist.steps=7"]), folder, tmp_path / "other")


def test_a_predictor_sees_recordings_as_the_run_did(ran):
    folder = ran()
    source = Motions(subjects=4, seconds=(0.6, 1.0), missing=0.2)
    rows = [source.read(i, [Stream("wrist", "vector", source.field_bands["wrist"])]).inputs["wrist"] for i in range(5)]
    own = Embeddings.load(folder / "embeddings")
    found = load_run(folder).embed(wrist=rows)  # of unequal lengths
    at = [list(own.ids).index(name) for name in source.samples["id"][:5]]
    np.testing.assert_allclose(found.vectors["wrist"], own.vectors["wrist"][at], atol=1e-6)
    assert not found.present["chest"].any()
    with pytest.raises(DataError, match=r"stream wrist: an array of shape \(3,\), expected \(3, T\)"):
        load_run(folder).embed(wrist=rows[0][:, 0])
