"""A trained run is judged again, on its own data or on others, without training."""

import json
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from multimodal_lab.evaluate import __main__ as command
from multimodal_lab.experiment import run as experiment

TRAIN = ["head=classifier", "loss=cross_entropy", "augment=none", "evaluate=[head,probe,retrieval]", "fusion=concat",
         "train.max_steps=2", "train.validate_every=0"]  # fmt: skip


@pytest.fixture(scope="module")
def run(composed, tmp_path_factory):
    """A classifier of the species of specimens."""
    folder = tmp_path_factory.mktemp("judged")
    experiment.run(composed(*TRAIN), folder)
    return folder


@pytest.fixture
def judged(run, tmp_path, monkeypatch, capsys):
    """The command line, in this process: gives the summary, or the sentence that it ended with."""

    def call(*words, out=tmp_path / "out"):
        monkeypatch.setattr(sys, "argv", ["evaluate", f"run={run}", f"out={out}", *words])
        try:
            command.main()
        except SystemExit as end:
            return str(end.code)
        return json.loads((out / "summary.json").read_text())

    return call


def numbers(summary):
    return {k: v for k, v in summary.items() if not k.startswith(("cost/", "provenance/", "choices/", "data/"))}


def test_on_its_own_data_it_has_its_own_scores_and_files(run, judged, tmp_path):
    own = json.loads((run / "summary.json").read_text())
    found = judged()
    assert numbers(found) == pytest.approx(numbers(own), nan_ok=True)
    assert found["cost/steps"] == 0
    assert found["provenance/run"] == str(run)
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"config.yaml", "data.json", "embeddings", "predictions.parquet", "summary.json"} <= names
    assert "checkpoints" not in names
    assert (tmp_path / "out/predictions.parquet").read_bytes() == (run / "predictions.parquet").read_bytes()
    assert judged().startswith(f"error: out={tmp_path / 'out'}: a run or an evaluation is here already")


def test_the_validation_split_with_other_evaluators(judged):
    found = judged("eval_split=val", "evaluate=[collapse]")
    assert {k.split("/")[0] for k in numbers(found)} == {"val"}
    assert any(k.startswith("val/collapse") for k in found)


def test_other_data_are_split_and_held_out_samples_that_it_knows_are_refused(judged):
    said = judged("data.source.seed=1", "data.split.seed=3")
    assert "samples, or others of their groups, hold what samples that" in said
    assert "seen=allow" in said
    found = judged("data.source.seed=1", "data.split.seed=3", "seen=allow")
    assert found["provenance/seen_allowed"] > 0
    assert "probe/fused/species/accuracy" in found


def test_another_split_of_its_own_data_is_refused(judged):
    assert "scores would be of what it has seen" in judged("data.split.seed=3")


def test_with_every_sample_held_out_what_needs_no_training_is_scored(judged, capsys):
    found = judged(
        "split=test", "data.source.individuals=16", "data.source.species=2", "data.source.seed=5", "seen=allow"
    )
    assert found["data/test"] == 32
    assert found["head/classifier/species/n"] == 32
    assert "probe/fused/species/accuracy" not in found
    assert any(k.startswith("retrieval/rgb->uv/R@") for k in found)


def test_a_renamed_copy_of_a_training_image_is_known_by_what_it_holds(composed, tmp_path, monkeypatch):
    draw = np.random.default_rng(0)
    pixels = [draw.integers(0, 255, (16, 16, 3), dtype=np.uint8) for _ in range(24)]
    for i, x in enumerate(pixels[:16]):
        (tmp_path / "own").mkdir(exist_ok=True)
        Image.fromarray(x).save(tmp_path / "own" / f"{'ab'[i % 2]}_{i}.png")
    words = ["data=images", "modality=rgb", f"data.root={tmp_path / 'own'}", "data.size=16", "data.batch_size=4"]
    words += ["data.split.by=null", "data.split.stratify=null", "fusion=separate", "loss=simclr", "evaluate=[collapse]"]
    words += ["backbone.widths=[8]", "log=none", "figures=[]", "train.max_steps=1", "train.validate_every=0"]
    experiment.run(composed(*words, small=False), tmp_path / "run")
    part = json.loads((tmp_path / "run/data.json").read_text())["splits"]["train"][3]
    others = tmp_path / "others"
    others.mkdir()
    for i, x in enumerate(pixels[16:]):
        Image.fromarray(x).save(others / f"c_{i}.png")

    def judge(out):
        line = ["evaluate", f"run={tmp_path / 'run'}", f"out={tmp_path / out}", f"data.root={others}", "split=test"]
        monkeypatch.setattr(sys, "argv", line)
        command.main()
        return json.loads((tmp_path / out / "summary.json").read_text())

    assert judge("first")["data/test"] == 8
    shutil.copy(tmp_path / "own" / f"{part}.png", others / "new_name.png")
    with pytest.raises(SystemExit, match=r"1 of the 9 test samples, .* \(such as new_name\): scores would be of what"):
        judge("second")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train.epochs=3"], "error: train.epochs=3: only out=…, data=…, evaluate=…, eval_split=…"),
        (["split=tset"], "error: split=tset: expected one of test; nearest: test"),
        (["evaluate=[prob]"], "(nearest: evaluate=probe)"),
        (["eval_split=tset"], "eval_split=tset"),
    ],
)
def test_what_can_not_be_followed_is_one_sentence(judged, words, said):
    assert said in judged(*words)


def test_a_run_without_checkpoints_is_told(run, judged, tmp_path, monkeypatch):
    shutil.copytree(run, tmp_path / "bare", ignore=shutil.ignore_patterns("checkpoints"))
    monkeypatch.setattr(sys, "argv", ["evaluate", f"run={tmp_path / 'bare'}"])
    with pytest.raises(SystemExit, match="no checkpoint here; was the run trained to its end"):
        command.main()
