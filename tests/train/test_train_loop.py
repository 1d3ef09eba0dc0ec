import json
import math
import os
import shutil
import signal
import traceback
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small import SMALL
from torch.utils._python_dispatch import TorchDispatchMode

from multimodal_lab import replay as replay_command
from multimodal_lab.augment.augment import Augment
from multimodal_lab.build import build
from multimodal_lab.checkpoint import store
from multimodal_lab.checkpoint.state import PARTS
from multimodal_lab.checkpoint.store import CheckpointStore
from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.experiment import run
from multimodal_lab.log.log import Log
from multimodal_lab.optim import optimizers
from multimodal_lab.optim.schedule import set_rates
from multimodal_lab.system import System
from multimodal_lab.train import loop, resume
from multimodal_lab.train.config import TrainConfig
from multimodal_lab.train.divergence import replay
from multimodal_lab.train.interrupt import Interrupted
from multimodal_lab.train.loop import fit
from multimodal_lab.train.step import Step, mix_seed

# four steps an epoch
TINY = [
    "fusion.dropout=0.1",
    "fusion.width=32",
    "backbone.widths=[4,8]",
    "data.source.individuals=32",
    "data.batch_size=8",
]


@dataclass
class Bench:
    """One small training, ready to run; `fit(**changes)` trains in `folder`."""

    cfg: object
    folder: object
    data: object = None
    system: object = None
    seen: list = field(default_factory=list)

    def build(self, seed=0):
        torch.manual_seed(seed)
        self.data = safe_instantiate(self.cfg.data).prepare(safe_instantiate(self.cfg.modality), seed)
        self.system = safe_instantiate(self.cfg.system)(
            self.data.streams, {k: len(v) for k, v in self.data.classes.items()}
        )
        augment = build(safe_instantiate(self.cfg.augment), streams=self.data.streams)
        return augment, optimizers.adamw(self.system, lr=1e-3)

    def made(self, precision="fp32"):
        """A `Step` over freshly built parts."""
        augment, optimizer = self.build()
        scaler = torch.amp.GradScaler("cpu", enabled=precision == "fp16")
        return Step(self.system, optimizer, scaler, augment, torch.device("cpu"), precision, 0, 1.0)

    def fit(self, *, seed=0, facts=None, validate=lambda: {}, resume="never", **knobs):
        augment, optimizer = self.build(seed)
        self.folder.mkdir(exist_ok=True)
        device = torch.device("cpu")
        knobs = {"epochs": 2, "log_every": 1, "validate_every": 0, **knobs}
        return fit(
            self.system, self.data, optimizer, TrainConfig(**knobs), augment=augment, validate=validate,
            log=Log(self.folder, main=True), store=CheckpointStore(self.folder / "checkpoints", 2), seed=seed, device=device,
            facts=facts or {"a": 1}, resume=resume,
        )  # fmt: skip

    def rows(self):
        return [json.loads(line) for line in (self.folder / "metrics.jsonl").read_text().splitlines()]

    def weights(self):
        return {k: v.clone() for k, v in self.system.state_dict().items()}


@pytest.fixture
def bench(composed, tmp_path):
    def make(name, *overrides):
        return Bench(composed(*TINY, *overrides), tmp_path / name)

    return make


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_training_lowers_the_loss_and_writes_every_step(bench):
    b = bench("a")
    state = b.fit(epochs=6)
    losses = [r["train/total"] for r in b.rows()]
    assert [r["step"] for r in b.rows()] == list(range(1, state.step + 1))
    assert sum(losses[-4:]) < sum(losses[:4])
    assert {"train/cross_modal", "train/grad_norm", "lr/rest"} <= b.rows()[0].keys()


def test_a_warm_up_is_of_so_many_steps_in_every_group_in_proportion(bench):
    b = bench("a")
    b.fit(epochs=2, warmup_steps=3, schedule="constant")
    rates = [row["lr/rest"] for row in b.rows()]
    assert rates[:5] == pytest.approx([0.25e-3, 0.5e-3, 0.75e-3, 1e-3, 1e-3])


def test_a_run_stopped_and_resumed_ends_with_the_same_bits(bench):
    whole, parts = bench("whole"), bench("parts")
    whole.fit(epochs=3)
    with pytest.raises(Interrupted):
        parts.fit(epochs=3, validate_every=1, validate=stop_after(1))
    assert parts.rows()[-1]["step"] < whole.rows()[-1]["step"]
    parts.fit(epochs=3, resume="auto")
    assert equal(whole.weights(), parts.weights())
    assert [r["train/total"] for r in whole.rows()] == [r["train/total"] for r in parts.rows() if "train/total" in r]


def stop_after(times):
    """A validation pass that sends this process Ctrl-C the first `times` times."""
    left = [times]

    def validate():
        if left[0]:
            left[0] -= 1
            os.kill(os.getpid(), signal.SIGINT)
        return {"val/total": 0.0}

    return validate


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM", "SIGUSR1"])
def test_a_signal_saves_within_the_step_and_the_resume_is_exact(bench, signal_name, monkeypatch):
    whole, parts = bench("whole"), bench("parts")
    whole.fit()
    real, calls = set_rates, []

    def interrupt(optimizer, multiplier):
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), getattr(signal, signal_name))
        real(optimizer, multiplier)

    monkeypatch.setattr(loop, "set_rates", interrupt)
    with pytest.raises(Interrupted, match=f"stopped by {signal_name} at step 2, saved"):
        parts.fit()
    monkeypatch.setattr(loop, "set_rates", real)
    parts.fit(resume="auto")
    assert equal(whole.weights(), parts.weights())


def test_validating_and_logging_more_often_changes_nothing(bench):
    one, two = bench("one"), bench("two")
    one.fit(log_every=100)
    two.fit(log_every=1, validate_every=1, validate=lambda: {"val/x": float(torch.rand(1))})
    assert equal(one.weights(), two.weights())


def test_the_number_of_workers_changes_nothing(bench):
    one, two = bench("one"), bench("two", "data.workers=2")
    one.fit(epochs=1)
    two.fit(epochs=1)
    assert equal(one.weights(), two.weights())


def test_the_seed_changes_everything(bench):
    one, two = bench("one"), bench("two")
    one.fit(epochs=1, seed=0)
    two.fit(epochs=1, seed=1)
    assert not equal(one.weights(), two.weights())


def test_accumulation_is_the_mean_of_its_batches(bench):
    """Two batches per step: half the steps, and the rows count both."""
    b = bench("a")
    state = b.fit(epochs=1, accumulate_steps=2)
    steps = b.data.steps("train", drop_last=True)
    assert state.step == math.ceil(steps / 2)
    assert state.samples == steps * 8


def test_a_resume_under_other_facts_is_refused_by_name(bench):
    b = bench("a")
    b.fit(epochs=1, facts={"data": "x", "torch": "1"})
    with pytest.raises(ValueError, match="data: was 'x', is 'y'"):
        b.fit(epochs=2, resume="auto", facts={"data": "y", "torch": "1"})


def test_early_stopping_keeps_the_best(bench):
    b = bench("a")
    scores = iter([9.0, 3.0, 2.0, 2.5, 2.6, 2.7, 2.8, 2.9])
    state = b.fit(epochs=7, validate_every=1, validate=lambda: {"val/s": next(scores)}, monitor="val/s", patience=2)
    assert state.epoch == 4
    assert state.best == 2.0
    best = CheckpointStore(b.folder / "checkpoints", 2).best()
    assert json.loads((best / "state.json").read_text())["state"]["epoch"] == 2


def test_early_stopping_on_an_accuracy_keeps_the_highest(bench, capsys):
    b, name = bench("a"), "val/knn/fused/species/accuracy"
    scores = iter([0.1, 0.3, 0.8, 0.6, 0.5, 0.4])
    state = b.fit(
        epochs=5, validate_every=1, validate=lambda: {name: next(scores)}, monitor=name, mode="max", patience=2
    )
    assert (state.epoch, state.best) == (4, 0.8)
    best = CheckpointStore(b.folder / "checkpoints", 2).best()
    assert json.loads((best / "state.json").read_text())["state"]["epoch"] == 2
    assert f"train.monitor={name}: kept is the step where it is highest" in " ".join(capsys.readouterr().out.split())


def test_a_mode_that_is_said_is_obeyed(bench):
    b, name = bench("a"), "val/collapse/fused/rankme"
    scores = iter([9.0, 3.0, 2.0, 2.5])
    state = b.fit(epochs=3, validate_every=1, validate=lambda: {name: next(scores)}, monitor=name, mode="min")
    assert state.best == 2.0


def test_an_unknown_monitor_is_refused_with_what_there_is(bench):
    with pytest.raises(ValueError, match=r"train\.monitor=val/acc: no such score; the validation pass gives val/total"):
        bench("a").fit(epochs=1, validate_every=1, validate=lambda: {"val/total": 1.0}, monitor="val/acc")


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_reduced_precision_trains_close_to_full(bench, precision):
    full, half = bench("full"), bench("half")
    full.fit(epochs=1)
    half.fit(epochs=1, precision=precision)
    a, b = ([r["train/total"] for r in x.rows()] for x in (full, half))
    assert all(math.isfinite(v) for v in b)
    assert b[0] == pytest.approx(a[0], rel=0.02)
    assert max(abs(x / y - 1) for x, y in zip(a, b, strict=True)) > 1e-5  # far beyond the rounding of fp32


def diverging(bench, monkeypatch, **knobs):
    """A training that meets NaN from its third step on; gives the error and the folder of what was kept."""
    b = bench("a")
    real = System.forward

    def forward(self, batch, progress=0.0):
        terms = real(self, batch, progress)
        bad = math.nan if progress >= 0.02 else 1.0
        return {k: v * bad for k, v in terms.items()}

    monkeypatch.setattr(System, "forward", forward)
    with pytest.raises(FloatingPointError, match="has not been finite for") as error:
        b.fit(epochs=25, log_every=7, **knobs)
    return b, str(error.value), b.folder / "bad_batch_0"


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_loss_that_is_not_finite_stops_within_20_steps_and_can_be_replayed(bench, monkeypatch, precision):
    b, told, kept = diverging(bench, monkeypatch, precision=precision)
    facts = json.loads((kept / "batch.json").read_text())
    assert facts["step"] <= 2 + 20
    assert str(kept) in told
    step, weights = b.made(precision=precision), load_file(kept / "model.safetensors")
    assert all(torch.isfinite(v).all() for v in weights.values())  # the updates of the bad steps were left out
    terms, _, _ = replay(kept, step)
    assert math.isnan(terms["total"])
    assert sorted(facts["ids"][0]) == sorted(set(facts["ids"][0]))
    assert len(facts["ids"][0]) == 8


def test_the_replay_names_the_first_module_that_fails(bench, monkeypatch):
    b, _, kept = diverging(bench, monkeypatch)
    monkeypatch.undo()
    step, weights = b.made(), load_file(kept / "model.safetensors")
    name = next(k for k in weights if k.startswith("backbones.each.uv") and k.endswith("weight"))
    save_file({**weights, name: weights[name] * math.nan}, kept / "model.safetensors")
    assert replay(kept, step)[2] == name.removesuffix(".weight")


def test_an_fp16_scale_below_one_stops_the_training(bench, monkeypatch):
    b = bench("a", "loss.weight=1e30")  # finite in fp32, never in fp16
    with pytest.raises(FloatingPointError, match=r"the fp16 scale is|has not been finite"):
        b.fit(epochs=25, precision="fp16", clip_norm=None)
    assert json.loads((b.folder / "bad_batch_0" / "batch.json").read_text())["step"] <= 20


def test_weights_that_are_not_finite_are_not_saved(bench):
    b = bench("a")

    def spoil():
        with torch.no_grad():
            next(b.system.parameters()).fill_(math.nan)
        return {}

    with pytest.raises(FloatingPointError, match="is not finite: not saved"):
        b.fit(epochs=2, validate_every=1, validate=spoil)
    assert CheckpointStore(b.folder / "checkpoints", 2).newest() is None


def test_state_that_no_checkpoint_holds_is_refused(bench, monkeypatch):
    real = System.forward

    def forward(self, batch, progress=0.0):
        self.seen = self.seen + 1
        return real(self, batch, progress)

    monkeypatch.setattr(System, "forward", forward)
    monkeypatch.setattr(System, "seen", torch.zeros(()), raising=False)
    init = System.__init__

    def with_queue(self, *args, **kwargs):
        init(self, *args, **kwargs)
        self.seen = torch.zeros(())

    monkeypatch.setattr(System, "__init__", with_queue)
    with pytest.raises(ValueError, match=r"system\.seen changes while training, but no checkpoint holds it"):
        bench("a").fit(epochs=1)


class Ignored:
    """A part that is saved but not taken back."""

    def __init__(self, part):
        self.state_dict = part.state_dict

    def load_state_dict(self, state):
        pass


def left(b):
    last = CheckpointStore(b.folder / "checkpoints", 2).all()[-1]
    return {p.name: p.read_bytes() for p in last.glob("*.safetensors")}, b.rows()


def interrupted(b, at, monkeypatch, **knobs):
    real, calls = set_rates, []

    def signalling(optimizer, multiplier):
        calls.append(1)
        if len(calls) == at:
            os.kill(os.getpid(), signal.SIGTERM)
        real(optimizer, multiplier)

    monkeypatch.setattr(loop, "set_rates", signalling)
    with pytest.raises(Interrupted):
        b.fit(**knobs)
    monkeypatch.setattr(loop, "set_rates", real)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_leaving_any_part_out_of_a_resume_shows(bench, monkeypatch, precision):
    """So that the tests above would see it: with all parts the runs are equal, without any one of them they differ."""
    words = ("loss.weight=30",) if precision == "fp16" else ()  # so that the scale has to fall
    knobs = {"epochs": 2, "log_every": 3, "ema": 0.9, "precision": precision}
    whole, parts = bench("whole", *words), bench("parts", *words)
    whole.fit(**knobs)
    interrupted(parts, 5, monkeypatch, **knobs)
    real = resume.load
    for name in (None, *(PARTS if precision == "fp32" else ["scaler"])):
        if name == "scaler" and precision == "fp32":
            continue
        again = bench(f"without_{name}", *words)
        shutil.copytree(parts.folder, again.folder)
        monkeypatch.setattr(resume, "load", lambda f, p, n=name: real(f, p if n is None else {**p, n: Ignored(p[n])}))
        again.fit(resume="auto", **knobs)
        assert (left(again) == left(whole)) == (name is None), name


def test_a_validation_cut_short_by_a_signal_is_made_again(bench):
    whole, parts = bench("whole"), bench("parts")
    knobs = {"epochs": 2, "validate_every": 1, "monitor": "val/s"}
    calls = []

    def cut():
        calls.append(1)
        if len(calls) == 2:  # the first is the look at the names before training
            os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(10**9):
                pass
        return {"val/s": 1.0}

    whole.fit(validate=lambda: {"val/s": 1.0}, **knobs)
    with pytest.raises(Interrupted, match="stopped by SIGTERM at step 4, saved"):
        parts.fit(validate=cut, **knobs)
    assert not any("val/s" in r for r in parts.rows())
    parts.fit(validate=lambda: {"val/s": 1.0}, resume="auto", **knobs)
    assert left(parts) == left(whole)


def test_a_run_that_patience_has_stopped_stays_stopped(bench):
    b = bench("a")
    scores = iter([9.0, 3.0, 4.0, 5.0])
    knobs = {"epochs": 9, "validate_every": 1, "monitor": "val/s", "patience": 2}
    first = b.fit(validate=lambda: {"val/s": next(scores)}, **knobs)
    before = left(b)
    again = b.fit(validate=lambda: pytest.fail("there is nothing to score"), resume="auto", **knobs)
    assert again.step == first.step
    assert left(b) == before


def test_the_count_towards_patience_survives_a_resume(bench, monkeypatch):
    b = bench("a")
    knobs = {"epochs": 9, "validate_every": 1, "monitor": "val/s", "patience": 2}
    scores = iter([9.0, 3.0, 4.0, 5.0])
    interrupted(b, 10, monkeypatch, validate=lambda: {"val/s": next(scores)}, **knobs)  # in the third epoch
    state = b.fit(validate=lambda: {"val/s": next(scores)}, resume="auto", **knobs)
    assert (state.epoch, state.best, state.best_step) == (3, 3.0, 4)


def test_the_average_is_what_is_validated_and_left_behind_and_the_raw_weights_train_as_ever(bench):
    plain, averaged = bench("plain"), bench("averaged")
    plain.fit(epochs=2)
    seen = []
    averaged.fit(epochs=2, ema=0.9, validate_every=1, validate=lambda: seen.append(averaged.weights()) or {})
    last = CheckpointStore(averaged.folder / "checkpoints", 2).all()[-1]
    assert equal(load_file(last / "model.safetensors"), plain.weights())
    assert equal(averaged.weights(), seen[-1])
    assert not equal(averaged.weights(), plain.weights())
    store.load_weights(last, plain.system)
    assert equal(plain.weights(), averaged.weights())


def test_channels_last_resumes_with_the_same_bits(composed, tmp_path, monkeypatch):
    words = [w for w in SMALL if "widths" not in w]
    own = ["data.source.individuals=16", "data.batch_size=8", "backbone=resnet18", "backbone.model=test_resnet"]
    cfg = composed(*words, *own, small=False)
    whole, parts = Bench(cfg, tmp_path / "whole"), Bench(cfg, tmp_path / "parts")
    knobs = {"epochs": 1, "channels_last": True, "max_steps": 2}
    whole.fit(**knobs)
    weight = next(p for p in whole.system.parameters() if p.ndim == 4 and p.shape[2] > 1 and p.shape[1] > 1)
    assert weight.is_contiguous(memory_format=torch.channels_last)
    interrupted(parts, 1, monkeypatch, **knobs)
    parts.fit(resume="auto", **knobs)
    assert left(parts) == left(whole)


def test_between_two_rows_nothing_waits_for_the_device(bench):
    """No value goes from a tensor to Python in the update, the average or the sums, nor in what surrounds them."""

    class Reads(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func is torch.ops.aten._local_scalar_dense.default:
                stack = [
                    f"{Path(f.filename).stem}.{f.name}"
                    for f in traceback.extract_stack()
                    if "/multimodal_lab/" in f.filename
                ]
                found.append(stack)
            return func(*args, **(kwargs or {}))

    found = []
    b = bench("a")
    with Reads():
        b.fit(epochs=2, log_every=100, ema=0.9)
    # the model's own reads are its own, and at a save and at the end everything is looked at
    known = {"step.gradient", "divergence.require_sound", "divergence.require_finite_end"}
    ours = [s for s in found if not known & set(s)]
    assert not ours, ours[:3]


def test_seeds_of_steps_and_ranks_differ():
    assert len({mix_seed(s, t, r) for s in range(5) for t in range(50) for r in range(4)}) == 1000


def test_the_command_repeats_the_step_of_a_run_that_diverged(composed, tmp_path, monkeypatch):
    """A learning rate that no model survives: the run stops, the kept step can be made again and is told."""
    cfg = composed(
        "data.source.individuals=24",
        "fusion.width=32",
        "train.epochs=30",
        "optim.lr=1e30",
        "train.clip_norm=null",
        "loss.weight=1e20",
        f"dir={tmp_path}",
    )
    with pytest.raises(FloatingPointError, match=r"python -m multimodal_lab\.replay"):
        run.run(cfg, tmp_path)
    told = replay_command.repeat(tmp_path / "bad_batch_0")
    assert "total = nan" in told or "gradient norm = " in told
    assert "samples " in told


def test_augmentation_is_compiled_with_the_system_alone(bench, monkeypatch):
    asked = []
    monkeypatch.setattr(System, "compile", lambda self: asked.append("system"))
    monkeypatch.setattr(Augment, "compile", lambda self: asked.append("augment"))
    bench("plain").fit(max_steps=1)
    assert asked == []
    bench("compiled").fit(max_steps=1, compile=True)
    assert asked == ["system", "augment"]


@pytest.mark.slow
def test_a_compiled_training_resumes_with_the_same_bits(bench, monkeypatch):
    whole, parts = bench("whole"), bench("parts")
    knobs = {"epochs": 1, "compile": True}
    whole.fit(**knobs)
    interrupted(parts, 2, monkeypatch, **knobs)
    parts.fit(resume="auto", **knobs)
    assert left(parts) == left(whole)
