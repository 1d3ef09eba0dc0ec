"""A resume is exact or refused: every fact, every part."""

import copy

import pytest
import torch
from omegaconf import OmegaConf

from multimodal_lab.config.rules.wiring import scored
from multimodal_lab.config.suggest import nodes
from multimodal_lab.experiment import run
from multimodal_lab.train import resume

CPU = torch.device("cpu")
CONFIG_CHANGES = [
    ("seed", 1, "seed"), ("data.batch_size", 8, "data.batch_size"), ("optim.lr", 0.5, "optim.lr"),
    ("train.epochs", 9, "train.epochs"), ("train.precision", "bf16", "train.precision"),
    ("train.accumulate_steps", 2, "train.accumulate_steps"), ("train.ema", 0.9, "train.ema"),
    ("system.fusion.dropout", 0.3, "system.fusion.dropout"), ("data.split.seed", 4, "data.split.seed"),
]  # fmt: skip


class Prepared:
    fingerprint = "abc"


@pytest.fixture(scope="module")
def plain(composed):
    cfg = composed()
    return {
        k: OmegaConf.to_container(cfg[k], resolve=True) if OmegaConf.is_config(cfg[k]) else cfg[k]
        for k in resume.CONFIG
    }


def changed(plain, key, value):
    other = copy.deepcopy(plain)
    node = other
    *path, last = key.split(".")
    for part in path:
        node = node[part]
    assert node[last] != value
    node[last] = value
    return other


@pytest.mark.parametrize(("key", "value", "name"), CONFIG_CHANGES)
def test_a_changed_setting_is_named_with_its_old_and_new_value(plain, key, value, name):
    before = resume.facts(plain, Prepared, CPU)
    (line,) = resume.changes(before, resume.facts(changed(plain, key, value), Prepared, CPU))
    assert line.startswith(f"{name}: was ")
    assert line.endswith(f"is {value!r}")


def world(monkeypatch):
    monkeypatch.setattr("multimodal_lab.device.distributed.world", lambda: 2)


def threads(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)


def version(monkeypatch):
    monkeypatch.setattr(torch, "__version__", "1.0")


def matmul(monkeypatch):
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")


def deterministic(monkeypatch):
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)


def code(monkeypatch):
    monkeypatch.setattr(resume, "source_hash", lambda: "other")


def fingerprint(monkeypatch):
    monkeypatch.setattr(Prepared, "fingerprint", "xyz")


@pytest.mark.parametrize("change", [world, threads, version, matmul, deterministic, code, fingerprint])
def test_a_changed_machine_or_data_set_is_named(plain, monkeypatch, change):
    before = resume.facts(plain, Prepared, CPU)
    change(monkeypatch)
    (line,) = resume.changes(before, resume.facts(plain, Prepared, CPU))
    assert {"version": "torch", "fingerprint": "data fingerprint"}.get(change.__name__, change.__name__) in line


@pytest.mark.parametrize(("key", "value"), [("data.workers", 3), ("train.keep_last", 7), ("train.save_every", 5)])
def test_what_changes_no_number_may_change(plain, key, value):
    before = resume.facts(plain, Prepared, CPU)
    assert resume.changes(before, resume.facts(changed(plain, key, value), Prepared, CPU)) == []


def everything(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_refused_resume_writes_nothing_and_drift_goes_on_and_marks_the_run(composed, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(resume, "source_hash", lambda: "as it is")
    knobs = ("train.max_steps=2", "evaluate=[collapse]", f"dir={tmp_path}")
    run.run(composed(*knobs), tmp_path)
    before = everything(tmp_path)
    with pytest.raises(ValueError, match=r"optim\.lr: was 0\.001, is 0\.5\. Restore these"):
        run.run(composed(*knobs, "resume=auto", "optim.lr=0.5"), tmp_path)
    assert everything(tmp_path) == before
    more = ("train.max_steps=4", "resume=drift", "optim.lr=0.5")
    run.run(composed(*knobs[1:], *more), tmp_path)
    assert "step 2: optim.lr: was 0.001, is 0.5" in capsys.readouterr().out.replace("\n", " ")
    drift = resume.checkpoint.read_state(tmp_path / "checkpoints" / "step_00000004")["drift"]
    assert [d.partition(": was")[0] for d in drift] == ["step 2: optim.lr", "step 2: train.max_steps"]
    assert "drift" in (tmp_path / "summary.json").read_text()


def test_the_mode_is_compared_by_what_it_comes_to(plain):
    """A checkpoint from before `auto` says min: the same for a loss and where nothing is watched, another for an accuracy."""
    for monitor in (None, "val/total", "val/knn/fused/species/accuracy"):
        now = {**plain, "train": {**plain["train"], "monitor": monitor}}
        older = resume.facts(changed(now, "train.mode", "min"), Prepared, CPU)
        told = resume.changes(older, resume.facts(now, Prepared, CPU, scored({"evaluate": nodes("evaluate")})))
        assert told == (["train.mode: was 'min', is 'max'"] if str(monitor).endswith("accuracy") else [])
