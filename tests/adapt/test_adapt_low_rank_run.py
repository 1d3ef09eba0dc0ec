"""Runs with low-rank updates: what is told, saved, resumed to the bit, read again, and refused."""

import ast
import json
import os
import signal
from pathlib import Path

import forked
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small import SMALL

from multimodal_lab import adapt
from multimodal_lab.checkpoint.store import CheckpointStore
from multimodal_lab.config import schema
from multimodal_lab.config.plain import as_plain
from multimodal_lab.config.rules import cache
from multimodal_lab.experiment import run as experiment
from multimodal_lab.experiment.compose import build_system
from multimodal_lab.experiment.reload import embed_files
from multimodal_lab.files import read_json
from multimodal_lab.predict import load
from multimodal_lab.train import loop
from multimodal_lab.train.interrupt import Interrupted
from multimodal_lab.types import Band, Stream

RUN = ["modality=rgb", "fusion=separate", "loss=simclr", "evaluate=[collapse]", "train.validate_every=0", "train.max_steps=8",
       "train.save=trained"]  # fmt: skip
CONVS = "adapt.target_modules=['0.0','1.0']"
LORA = ["adapt=lora", CONVS, "adapt.r=4", "adapt.use_dora=true"]
ADALORA = ["adapt=adalora", CONVS, "adapt.init_r=4", "adapt.target_r=2", "adapt.lora_dropout=0.1", "adapt.tfinal=2"]


def newest(folder):
    return CheckpointStore(folder / "checkpoints", 1).newest()


@pytest.mark.parametrize("words", [LORA, ADALORA], ids=["lora", "adalora"])
def test_a_run_tells_its_share_holds_the_updates_alone_and_resumes_to_the_bit(
    composed, tmp_path, capsys, monkeypatch, words
):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    cfg = composed(*RUN, *words)
    experiment.run(cfg, whole)
    said = capsys.readouterr().out
    summary = json.loads((whole / "summary.json").read_text())
    size, trained, share = (summary[f"cost/{k}"] for k in ("parameters", "trained_parameters", "trained_share"))
    assert f"{size / 1e6:.2f} M parameters, {trained / 1e6:.3g} M of them trained ({trained / size:.2%})" in said
    assert share == pytest.approx(trained / size, abs=1e-6)
    assert 0 < trained < size
    held = load_file(newest(whole) / "model.safetensors")
    own = [k for k in held if k.startswith("backbones.") and "running" not in k and "num_batches" not in k]
    assert own
    assert all("lora_" in k for k in own)
    assert ("orthogonality" in (whole / "metrics.jsonl").read_text()) == (words is ADALORA)

    real, calls = loop.set_rates, []

    def stopping(optimizer, multiplier):
        calls.append(1)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        real(optimizer, multiplier)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "set_rates", stopping)
        with pytest.raises(Interrupted):
            experiment.run(cfg, parts)
    experiment.run(composed(*RUN, *words, "resume=auto"), parts)
    a, b = (read_json(newest(folder) / "state.json") for folder in (whole, parts))
    assert a.get("adapter") == b.get("adapter")  # which ranks are left; the averages that chose them are gone by then
    assert ("adapter" in a) == (words is ADALORA)
    for name in ("model", "optimizer"):
        a, b = (load_file(newest(folder) / f"{name}.safetensors") for folder in (whole, parts))
        assert a.keys() == b.keys()
        assert all(torch.equal(x, b[k]) for k, x in a.items())

    assert "samples embedded" in embed_files(cfg, whole, tmp_path / "embedded")
    vectors = load(whole).embed(rgb=np.zeros((2, 3, 16, 16), np.uint16), mask=np.ones((2, 16, 16), bool)).vectors["rgb"]
    assert len(vectors) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [[*LORA, "train.shard=true"], [w for w in ADALORA if "dropout" not in w]],
    ids=["lora in pieces", "adalora"],
)
def test_two_ranks_equal_one(composed, tmp_path, words):
    """The updates, and which ranks of them are left; dropout is drawn by rank."""
    plain = [*RUN, *words, "adapt.lora_dropout=0.0", "optim=sgd", "optim.lr=0.05", "train.max_steps=4"]
    experiment.run(composed(*[w for w in plain if w != "train.shard=true"]), tmp_path / "one")
    done = forked.ranks("multimodal_lab.run", [*SMALL, *plain, f"dir={tmp_path / 'two'}"], 2)
    assert [d.returncode for d in done] == [0, 0], done[0].stderr[-2000:]
    one, two = (load_file(newest(tmp_path / n) / "model.safetensors") for n in ("one", "two"))
    assert one.keys() == two.keys()
    updates = [k for k in one if "lora_" in k]
    assert any(one[k].abs().max() > 1e-4 for k in updates if "lora_B" in k)
    for name, x in one.items():
        torch.testing.assert_close(two[name], x, rtol=1e-5, atol=1e-6)
    if words[0] == "adapt=adalora":
        left = [{k: (x[k] != 0).flatten().tolist() for k in updates if "lora_E" in k} for x in (one, two)]
        assert left[0] == left[1]
        assert not all(map(all, left[0].values()))


def test_what_trains_has_no_features_to_keep(composed, tmp_path):
    words = [*RUN, *LORA, "augment=none", "cache=features", f"cache.root={tmp_path}"]
    found = "\n".join(map(str, schema.check(composed(*words))))
    assert "this backbone trains, and cache=features caches the outputs of frozen ones" in found
    assert not cache.adapted(as_plain(composed(*RUN, *LORA)), "rgb")


SLIPS = {
    "adapt.r=0": "adapt.r=0",
    "adapt.lora_alpha=0": "adapt.lora_alpha=0",
    "adapt.lora_dropout=1.5": "adapt.lora_dropout=1.5",
    "adapt.modules=[backbone]": "nearest: adapt.modules=backbones",
}


@pytest.mark.parametrize("slip", SLIPS)
def test_slips_are_told_before_anything_is_read(composed, slip):
    found = schema.check(composed(*RUN, *LORA, slip))
    assert len(found) == 1
    assert SLIPS[slip] in str(found[0])


def test_a_training_too_short_for_adalora_and_shards_are_refused(composed, tmp_path):
    with pytest.raises(
        ValueError, match=r"adapt\.tinit=7 and adapt\.tfinal=2: of a training of 8 steps they leave none"
    ):
        experiment.run(composed(*RUN, *ADALORA, "adapt.tinit=7"), tmp_path / "run")
    assert not list((tmp_path / "run" / "checkpoints").glob("step_*"))
    said = "\n".join(map(str, schema.check(composed(*RUN, *ADALORA, "train.shard=true"))))
    assert "cuts the weights that adapt=adalora changes whole" in said


def test_a_system_from_python_has_what_acts():
    streams = {"rgb": Stream("rgb", bands=tuple(map(Band, "RGB")), size=32)}
    system = build_system(
        ["modality=rgb", "fusion=separate", "loss=simclr", "backbone.widths=[8,16]", *ADALORA], streams=streams
    )
    assert system.adapter is not None
    assert "orthogonality" in system.losses
    plain = build_system(["modality=rgb", "fusion=separate", "loss=simclr", "backbone.widths=[8,16]"], streams=streams)
    assert plain.adapter is None


def test_other_runs_do_not_import_peft():
    """It takes seconds: it is imported where updates are added or merged."""
    for file in Path(adapt.__file__).parent.glob("*.py"):
        above = [n for n in ast.parse(file.read_text()).body if isinstance(n, ast.Import | ast.ImportFrom)]
        assert not [n for n in above if "peft" in ast.unparse(n) or "transformers" in ast.unparse(n)], file
