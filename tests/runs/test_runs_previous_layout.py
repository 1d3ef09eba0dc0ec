"""Run directories that the layout before made are read by today's commands."""

import importlib
import json

import numpy as np
import previous_layout
import pytest
import torch
import yaml
from once import once

from multimodal_lab.checkpoint.store import CheckpointStore, weights
from multimodal_lab.experiment import run


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """The three directories."""
    try:
        return once(tmp_path_factory, "previous_layout", previous_layout.make)
    except previous_layout.Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def command(monkeypatch, capsys):
    """`command(module, *words)`: the command line in this process, where torch is imported already; what it printed."""

    def call(module, *words):
        monkeypatch.setattr("sys.argv", [module, *words])
        importlib.import_module(f"multimodal_lab.{module}").main()
        return capsys.readouterr().out

    return call


RENAMED = {  # the old name of a key, by its place, and its value in `keys`
    "judged": "val", "score": "val/label", "optim.rates": {"backbones": 5e-4}, "train.floor": 0.1, "train.accumulate": 2,
    "train.keep": 1, "data.split.rare": "train", "data.split.hold": "samples", "data.check": "train", "data.fit": "stretch",
    "data.mask": "keep", "modality.rgb.take": ["R", "G"], "heads.classifier.reads": "rgb", "evaluate.kmeans.starts": 2,
}  # fmt: skip


def at(tree, path):
    for key in path.split("."):
        tree = tree[key]
    return tree


def rows(folder):
    pyarrow = pytest.importorskip("pyarrow.parquet")
    return {p.name: pyarrow.read_table(p).to_pandas() for p in folder.glob("*.parquet")}


def test_the_directories_hold_the_old_names(made):
    config = yaml.safe_load((made / "keys" / "config.yaml").read_text())
    assert {path: at(config, path) for path in RENAMED} == RENAMED
    assert "layout" not in json.loads((made / "keys" / "data.json").read_text())


@pytest.mark.parametrize(("name", "streams"), [("keys", ("rgb", "uv")), ("study/concat-*", ("rgb", "uv", "fused"))])
def test_embed_gives_the_embeddings_that_the_run_kept(made, command, tmp_path, name, streams):
    (folder,) = made.glob(name)
    command("embed", f"run={folder}", f"out={tmp_path}")
    ours, kept = rows(tmp_path), rows(folder / "embeddings")
    for file in (f"{stream}.parquet" for stream in streams):
        ids = set(kept[file]["id"])
        one, two = (t[t["id"].isin(ids)].sort_values("id").reset_index(drop=True) for t in (ours[file], kept[file]))
        assert one["id"].tolist() == two["id"].tolist()
        vectors = [c for c in two if c[0] == "x" and c[1:].isdigit()]
        assert len(vectors) == (32 if file == "fused.parquet" else 16)
        assert two[vectors].std().min() > 1e-4
        np.testing.assert_allclose(one[vectors], two[vectors], rtol=1e-5, atol=1e-6)


def test_explore_draws_a_page(made, command, tmp_path):
    page = tmp_path / "page.html"
    command("explore", f"run={made / 'keys'}", f"out={page}")
    assert "uv" in page.read_text()


def test_replay_repeats_the_step_that_ended_a_training(made, command):
    told = command("replay", str(made / "bad" / "bad_batch_0"))
    facts = json.loads((made / "bad" / "bad_batch_0" / "batch.json").read_text())
    assert told.startswith(f"step {facts['step']}, samples ")
    assert "= nan" in told or "= inf" in told


def test_study_judges_again_to_the_same_answers(made, command):
    folder = made / "study"
    before = json.loads((folder / "study.json").read_text())
    with pytest.raises(SystemExit) as end:
        command("study.__main__", "status", f"runs={folder}")
    assert end.value.code == 0
    (folder / "study.json").unlink()
    command("study.__main__", f"runs={folder}")
    again = json.loads((folder / "study.json").read_text())
    for label, old in before["labels"].items():
        new = again["labels"][label]
        assert new["verdict"]["kind"] == old["verdict"]["kind"]
        assert {arm: a["mean"] for arm, a in new["arms"].items()} == {arm: a["mean"] for arm, a in old["arms"].items()}


def test_backbones_of_an_old_run_serve_as_encoders(made, composed, tmp_path):
    (old,) = (made / "study").glob("concat-*")
    words = [*previous_layout.DATA, "fusion=separate", "evaluate=[]", "train.max_steps=1", "figures=[]", "log=none"]
    cfg = composed(*words, "backbone.widths=[8,16]", "adapt=encoders", f"adapt.runs=[{old}]", small=False)
    run.run(cfg, tmp_path)
    given, own = (weights(CheckpointStore(folder / "checkpoints", 1).newest()) for folder in (old, tmp_path))
    names = [name for name in own if name.startswith("backbones.each.")]
    assert {name.split(".")[2] for name in names} == {"rgb", "uv"}
    assert all(torch.equal(own[name], given[name]) for name in names)
