"""Run directories that the layout before made are read by today's commands."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

sys.path.append(str(Path(__file__).parents[1] / "study"))
import previous_layout


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """The four directories, made once; a process of `pytest -n` that runs these tests makes its own."""
    try:
        return previous_layout.make(tmp_path_factory.mktemp("previous"))
    except previous_layout.Unavailable as error:
        pytest.skip(str(error))


pytestmark = pytest.mark.xdist_group("previous_layout")
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
    assert yaml.safe_load((made / "run" / "config.yaml").read_text())["subsets"] is True


@pytest.mark.parametrize("name", ["run", "keys"])
def test_embed_gives_the_embeddings_that_the_run_kept(made, cli, tmp_path, name):
    cli(f"run={made / name}", f"out={tmp_path}", module="embed", small=False)
    ours, kept = rows(tmp_path), rows(made / name / "embeddings")
    assert {"rgb.parquet", "uv.parquet"} <= ours.keys() & kept.keys()
    for file in ("rgb.parquet", "uv.parquet"):
        ids = set(kept[file]["id"])
        one, two = (t[t["id"].isin(ids)].sort_values("id").reset_index(drop=True) for t in (ours[file], kept[file]))
        assert one["id"].tolist() == two["id"].tolist()
        vectors = [c for c in two if c[0] == "x" and c[1:].isdigit()]
        assert len(vectors) == 16
        np.testing.assert_allclose(one[vectors], two[vectors], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["run", "keys"])
def test_explore_draws_a_page(made, cli, tmp_path, name):
    page = tmp_path / "page.html"
    cli(f"run={made / name}", f"out={page}", module="explore", small=False)
    assert "uv" in page.read_text()


def test_replay_repeats_the_step_that_ended_a_training(made, cli):
    told = cli(str(made / "bad" / "bad_batch_0"), module="replay", small=False).stdout
    facts = json.loads((made / "bad" / "bad_batch_0" / "batch.json").read_text())
    assert told.startswith(f"step {facts['step']}, samples ")
    assert "nan" in told or "inf" in told


def test_study_judges_again_to_the_same_answers(made, cli):
    folder = made / "study"
    before = json.loads((folder / "study.json").read_text())
    assert cli("status", f"runs={folder}", module="study", small=False).returncode == 0
    (folder / "study.json").unlink()
    cli(f"runs={folder}", module="study", small=False)
    again = json.loads((folder / "study.json").read_text())
    assert again["labels"] == before["labels"]
