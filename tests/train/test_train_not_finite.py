"""A loss that is not finite ends a run with one sentence; JSON has null where a number is not finite."""

import json
import math

import pytest
import torch

from multimodal_lab import files
from multimodal_lab.checkpoint.state import State, join, split
from multimodal_lab.checkpoint.store import CheckpointStore
from multimodal_lab.evaluate import rsa
from multimodal_lab.experiment import run
from multimodal_lab.files import file_hash
from multimodal_lab.keyed import Keyed
from multimodal_lab.log.log import Log
from multimodal_lab.loss.schedule import FreeScalar, LinearSchedule
from multimodal_lab.report import curves, summary
from multimodal_lab.study.ledger import ledger
from multimodal_lab.system import System
from multimodal_lab.train import divergence
from multimodal_lab.train.loop import select

TINY = ["data.source.individuals=24", "train.max_steps=3", "train.log_every=1", "evaluate=[rsa]"]


def strict(text):
    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_a_run_whose_last_training_loss_is_nan_fails_and_keeps_the_rest(composed, tmp_path):
    cfg = composed(*TINY, "optim.lr=1e30", "train.warmup=0")
    with pytest.raises(
        FloatingPointError,
        match=r"not finite at its end, step 3: cross_modal = nan, intra = nan, cross = nan; lower",
    ):
        run.run(cfg, tmp_path)
    rows = [strict(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 3
    assert rows[2]["train/total"] is None
    assert math.isnan(curves.read(tmp_path / "metrics.jsonl")["train/total"][1][-1])
    assert not (tmp_path / "summary.json").exists()
    assert (tmp_path / "bad_batch_0" / "batch.json").is_file()


def test_a_run_whose_last_gradient_is_not_finite_fails_though_its_loss_is_finite(composed, tmp_path):
    cfg = composed(*TINY, "loss.weight=1e30", "train.clip_norm=null")
    with pytest.raises(
        FloatingPointError, match=r"training gradient is not finite at its end, step 3: gradient norm = inf; lower"
    ):
        run.run(cfg, tmp_path)
    rows = [strict(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [r["train/grad_norm"] for r in rows if "train/total" in r] == [None] * 3
    assert math.isfinite(rows[2]["train/total"])
    assert not (tmp_path / "summary.json").exists()


def test_a_held_out_loss_that_is_not_finite_is_refused_by_its_term():
    divergence.require_finite_held_out({"test/total": 1.0, "test/clip": 1.0})
    with pytest.raises(
        FloatingPointError, match=r"held-out loss is not finite after the training: test/clip = nan; lower"
    ):
        divergence.require_finite_held_out({"test/total": math.nan, "test/clip": math.nan, "test/other": 1.0})
    with pytest.raises(
        FloatingPointError, match=r"^the validation loss is not finite after the training: val/clip = nan"
    ):
        divergence.require_finite_held_out({"val/total": math.nan, "val/clip": math.nan})


def test_an_undefined_score_is_null_in_the_summary_and_the_run_ends_well(composed, tmp_path, monkeypatch):
    real = rsa.RSA.__call__
    monkeypatch.setattr(rsa.RSA, "__call__", lambda self, *a: {**real(self, *a), "rsa/odd/spearman": math.nan})
    run.run(composed(*TINY), tmp_path)
    assert strict((tmp_path / "summary.json").read_text())["rsa/odd/spearman"] is None
    assert strict((tmp_path / "data.json").read_text())["streams"]


def test_json_of_ours_is_strict_and_what_is_not_finite_is_null(tmp_path):
    content = {"a": [1.0, math.nan, (math.inf,)], "b": {"c": -math.inf, "d": None, "e": "NaN"}}
    files.write_json(tmp_path / "x.json", {**content, "f": torch.tensor(math.nan)}, default=float)
    expected = {"a": [1.0, None, [None]], "b": {"c": None, "d": None, "e": "NaN"}, "f": None}
    assert strict((tmp_path / "x.json").read_text()) == expected
    Log(tmp_path).scalars(1, {"loss": math.nan})
    assert strict((tmp_path / "metrics.jsonl").read_text()) == {"step": 1, "loss": None}


def test_a_checkpoint_has_its_numbers_again_that_are_not_finite():
    tree = {"a": math.inf, "b": [math.nan, -math.inf], "c": 1.0}
    plain = split(tree, {})
    again = join(strict(json.dumps(plain)), {})
    assert str(again) == str(tree)


def test_null_is_an_undefined_score_for_a_study_and_a_dash_in_a_table(tmp_path):
    assert summary.number(None) == summary.number(math.nan) == "–"
    (tmp_path / "predictions.parquet").write_bytes(b"x")
    seal = {"provenance/config": "k", "provenance/predictions": file_hash(tmp_path / "predictions.parquet")}
    (tmp_path / "summary.json").write_text(json.dumps({**seal, "probe/rgb/sex/r2": None}))
    assert math.isnan(ledger.finished(tmp_path, "k")["probe/rgb/sex/r2"])


def test_a_score_that_is_not_finite_is_never_the_best():
    state = State(step=1)
    assert not select(state, {"val/total": math.nan}, "val/total", "min")
    assert state.best is None
    state.step = 2
    assert select(state, {"val/total": 3.0}, "val/total", "min")
    assert (state.best, state.best_step) == (3.0, 2)


def test_a_resume_of_a_training_that_ended_in_nan_ends_so_again(composed, tmp_path):
    words = [*TINY, "optim.lr=1e30", "train.warmup=0", "resume=auto"]
    for _ in range(2):
        with pytest.raises(FloatingPointError, match="training loss is not finite at its end, step 3"):
            run.run(composed(*words), tmp_path)
    assert CheckpointStore(tmp_path / "checkpoints", 2).newest().name == "step_00000002"  # the one before the end, kept


def test_an_fp16_run_without_a_single_step_fails(composed, tmp_path):
    cfg = composed(*TINY, "train.precision=fp16", "loss.weight=1e5", "train.clip_norm=null")
    with pytest.raises(
        FloatingPointError, match=r"no step was taken: the gradient was not finite at any of 3 steps.*bf16"
    ):
        run.run(cfg, tmp_path)
    assert not (tmp_path / "summary.json").exists()


def test_learned_and_scheduled_scalars_of_a_loss_are_logged_and_are_no_losses(composed, tmp_path):
    learned = "{_target_: multimodal_lab.loss.schedule.LearnedScalar, init: 0.07, low: 0.01, high: 1.0}"
    run.run(composed(*TINY, f"loss.temperature={learned}", "figures=[curves]"), tmp_path)
    rows = [strict(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    found = [r["train/temperature"] for r in rows if "train/total" in r]
    assert len(found) == 3
    assert all(0.06 < x < 0.08 for x in found)
    series = curves.read(tmp_path / "metrics.jsonl")
    terms = {k.partition("/")[2] for k in series if k.startswith("val/")}
    assert curves._scalar("train/temperature", terms)
    assert not any(curves._scalar(f"train/{name}", terms) for name in ("cross_modal", "cross", "intra"))
    assert all(r["train/cross_weight"] == 1 and r["train/intra_weight"] == 0.5 for r in rows if "train/total" in r)
    assert {"val/cross", "val/intra", "train/cross", "train/intra"} <= series.keys()


def test_scalars_of_several_terms_are_told_apart(composed):
    system = System.__new__(System)
    torch.nn.Module.__init__(system)
    terms = {k: Keyed(torch.sum, temperature=FreeScalar(i), **more) for i, (k, more) in enumerate(
        {"a": {}, "b": {"weight_of": LinearSchedule(0.0, 4.0)}}.items())}  # fmt: skip
    system.losses, system.task_weights = torch.nn.ModuleDict(terms), None
    assert system.loss_scalars(0.25) == {"a/temperature": 0.0, "b/temperature": 1.0, "weight_of": 1.0}
