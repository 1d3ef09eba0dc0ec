"""What was trained is what is scored: heads lead a run's table, its objective and its early stopping; a split is told by name."""

import json

import pandas as pd
import pytest
import torch
from rich.console import Console

from multimodal_lab.config.check import check_command
from multimodal_lab.config.plain import as_plain
from multimodal_lab.config.problem import ConfigError
from multimodal_lab.config.rules import run as rules
from multimodal_lab.config.rules.wiring import judge, scored
from multimodal_lab.experiment import evaluate, run
from multimodal_lab.experiment.reload import trained
from multimodal_lab.report import multirun
from multimodal_lab.report import summary as report

QUICK = ["train.max_steps=3", "evaluate=[head,probe]", "data.source.missing=0.2"]


def ran(composed, folder, *words):
    cfg = composed(*QUICK, *words)
    objective = run.run(cfg, folder)
    return cfg, json.loads((folder / "summary.json").read_text()), objective


def printed(found, cfg):
    console = Console(width=140, record=True, force_terminal=False)
    with console.capture() as capture:
        console.print(report.table(found, scored(as_plain(cfg))))
    return capture.get()


@pytest.mark.parametrize(("name", "head"), [("classifier", "classifier"), ("decision", "late_fusion")])
def test_the_trained_head_is_scored_and_leads(composed, tmp_path, name, head):
    cfg, found, objective = ran(composed, tmp_path / "run", f"experiment={name}")
    assert objective == found[f"head/{head}/species/accuracy"]
    text = printed(found, cfg)
    assert text.index("scores by head") < text.index("scores by probe")
    # the same answers, by the weights that were kept
    system, data, _ = trained(cfg, tmp_path / "run", torch.device("cpu"))
    right = []
    with torch.no_grad():
        for batch in data.batches("test"):
            _, out = system.eval().encode(batch)
            right += (out[head].argmax(1) == batch.targets["species"]).tolist()
    assert found[f"head/{head}/species/accuracy"] == pytest.approx(sum(right) / len(right))
    rows = pd.read_parquet(tmp_path / "run" / "predictions.parquet").query("evaluator == 'head'")
    assert (rows["score"].mean(), len(rows)) == (pytest.approx(sum(right) / len(right)), len(right))
    assert found["provenance/judge"] == "head"


def test_a_run_without_such_a_head_is_as_ever(composed, tmp_path):
    cfg, found, objective = ran(composed, tmp_path / "run")
    assert not any(key.startswith("head/") for key in found)
    assert "by head" not in printed(found, cfg)
    assert objective == found["probe/fused/species/accuracy"]
    assert judge(as_plain(cfg)) == "probe"


def test_early_stopping_watches_a_head_and_embeds_the_validation_split_alone(composed, tmp_path, monkeypatch):
    seen, embed = [], evaluate.embed
    monkeypatch.setattr(
        evaluate, "embed", lambda s, d, v, splits, **k: (seen.append(tuple(splits)), embed(s, d, v, splits, **k))[1]
    )
    ran(composed, tmp_path / "run", "experiment=classifier", "train.monitor=val/head/classifier/species/accuracy")
    assert seen[:-1]
    assert {*seen[:-1]} == {("val",)}
    lines = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    assert any("val/head/classifier/species/nll" in line for line in lines)
    with pytest.raises(
        ConfigError, match=r"train.monitor=val/head/x/species/accuracy: expected val/NAME, NAME one of total, "
    ):
        check_command(["train.monitor=val/head/x/species/accuracy"])


@pytest.mark.parametrize(("experiment", "head"), [("classifier", "classifier"), ("decision", "late_fusion")])
def test_heads_are_scored_on_every_subset_of_the_modalities(composed, tmp_path, experiment, head):
    cfg, found, _ = ran(composed, tmp_path / "run", f"experiment={experiment}", "modality_subsets=true")
    assert {k.split("/")[1] for k in found if k.startswith("head/")} == {head, f"{head}@rgb", f"{head}@uv"}
    assert "@" not in printed(found, cfg)


def test_scores_of_the_validation_split_say_so(composed, tmp_path):
    words = ["experiment=classifier", "eval_split=val"]
    cfg, found, objective = ran(composed, tmp_path / "0", *words)
    scores = [key for key in found if key.count("/") > 1 and not key.startswith(("choices", "provenance"))]
    assert scores
    assert all(key.startswith("val/") for key in (*scores, *(k for k in found if k.startswith("chance"))))
    assert objective == found["val/head/classifier/species/accuracy"]
    text = printed(found, cfg)
    assert "Validation scores by head" in text
    assert "validation loss" in text
    assert "eld-out" not in text
    title = multirun.table(tmp_path, scored(as_plain(cfg))).renderables[0].title
    assert title.endswith("on the validation split")
    assert "val/head/classifier/species/accuracy" in (tmp_path / "sweep.csv").read_text()
    tree = as_plain(cfg)
    (wrong,) = rules.score({**tree, "objective": "head/classifier/species/accuracy"})
    assert wrong.near == "objective=val/head/classifier/species/accuracy"
    (wrong,) = rules.score({**tree, "objective": "val/head/classifier/species/acuracy"})
    assert wrong.near == "objective=val/head/classifier/species/accuracy"
    assert not [p for key in found if isinstance(found[key], float) for p in rules.score({**tree, "objective": key})]


@pytest.mark.parametrize("words", [["loss=mse"], ["loss=gaussian_nll", "head.variance=true"]])
def test_a_number_is_learnt_and_told_in_its_unit(composed, tmp_path, words):
    words = [
        "experiment=regression",
        "train.max_steps=40",
        "optim.lr=1e-2",
        "data.source.missing=0",
        "data.cache=true",
        *words,
    ]
    cfg, found, objective = ran(composed, tmp_path / "run", *words)
    system, data, _ = trained(cfg, tmp_path / "run", torch.device("cpu"))
    wanted = torch.as_tensor(data.targets["tail_mm"][data.splits["test"]])
    spread = data.targets["tail_mm"][data.splits["train"]].std()
    with torch.no_grad():
        said = torch.cat([system.eval().encode(b)[1]["regressor"][:, 0] for b in data.batches("test")])
    error = said - wanted
    assert found["head/regressor/tail_mm/rmse"] == pytest.approx(float(error.square().mean().sqrt()), rel=1e-4)
    assert found["head/regressor/tail_mm/mae"] == pytest.approx(float(error.abs().mean()), rel=1e-4)
    assert objective == found["head/regressor/tail_mm/r2"]
    assert found["head/regressor/tail_mm/rmse"] < 3 * spread  # in mm: raw outputs would be some 60 off
    text = printed(found, cfg)
    assert "R²" in text
    assert "RMSE" in text
    assert found["chance/tail_mm"] == 0


@pytest.mark.parametrize("augment", ["mixup", pytest.param("cutmix", marks=pytest.mark.slow)])
def test_mixed_labels_train_a_classifier_that_is_scored_on_whole_ones(composed, tmp_path, augment):
    words = ["experiment=classifier", f"augment={augment}", "train.accumulate_steps=2", "data.source.missing=0.3"]
    _, found, objective = ran(composed, tmp_path / "run", *words)
    assert objective == found["head/classifier/species/accuracy"]
    assert 0 < found["test/cross_entropy"] < 10
