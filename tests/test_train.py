import json
import math
from dataclasses import dataclass, field

import pytest
import torch

from multimodal_lab import optim
from multimodal_lab.build import build
from multimodal_lab.checkpoint import Store
from multimodal_lab.instantiate import safe_instantiate
from multimodal_lab.log import Log
from multimodal_lab.train import Interrupted, _mix, fit


@dataclass
class Bench:
    """One small training, ready to run; `fit(**changes)` trains in `folder`."""

    cfg: object
    folder: object
    data: object = None
    system: object = None
    seen: list = field(default_factory=list)

    def fit(self, *, seed=0, facts=None, validate=lambda: {}, **knobs):
        torch.manual_seed(seed)
        self.data = safe_instantiate(self.cfg.data).prepare(safe_instantiate(self.cfg.modality), seed)
        self.system = safe_instantiate(self.cfg.system)(
            self.data.streams, {k: len(v) for k, v in self.data.classes.items()}
        )
        augment = build(safe_instantiate(self.cfg.augment), streams=self.data.streams)
        optimizer = optim.adamw(self.system, lr=1e-3)
        self.folder.mkdir(exist_ok=True)
        device = torch.device("cpu")
        knobs = {"epochs": 2, "log_every": 1, "validate_every": 0, **knobs}
        return fit(
            self.system, self.data, optimizer, augment=augment, validate=validate, log=Log(self.folder, main=True),
            store=Store(self.folder / "checkpoints", 2), seed=seed, device=device, facts=facts or {"a": 1}, **knobs,
        )  # fmt: skip

    def rows(self):
        return [json.loads(line) for line in (self.folder / "metrics.jsonl").read_text().splitlines()]

    def weights(self):
        return {k: v.clone() for k, v in self.system.state_dict().items()}


@pytest.fixture
def bench(composed, tmp_path):
    def make(name, *overrides):
        return Bench(composed("fusion.dropout=0.1", *overrides), tmp_path / name)

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


def test_a_run_stopped_and_resumed_ends_with_the_same_bits(bench):
    whole, parts = bench("whole"), bench("parts")
    whole.fit(epochs=3)
    with pytest.raises(Interrupted):
        parts.fit(epochs=3, validate_every=1, validate=stop_after(1))
    assert parts.rows()[-1]["step"] < whole.rows()[-1]["step"]
    parts.fit(epochs=3, resume=True)
    assert equal(whole.weights(), parts.weights())
    assert [r["train/total"] for r in whole.rows()] == [r["train/total"] for r in parts.rows() if "train/total" in r]


def stop_after(times):
    """A validation pass that sends this process Ctrl-C the first `times` times."""
    import os
    import signal

    left = [times]

    def validate():
        if left[0]:
            left[0] -= 1
            os.kill(os.getpid(), signal.SIGINT)
        return {"val/total": 0.0}

    return validate


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM", "SIGUSR1"])
def test_a_signal_saves_within_the_step_and_the_resume_is_exact(bench, signal_name, monkeypatch):
    import os
    import signal

    whole, parts = bench("whole"), bench("parts")
    whole.fit()
    real, calls = optim.set_rates, []

    def interrupt(optimizer, multiplier):
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), getattr(signal, signal_name))
        real(optimizer, multiplier)

    monkeypatch.setattr(optim, "set_rates", interrupt)
    with pytest.raises(Interrupted, match=f"stopped by {signal_name} at step 2, saved"):
        parts.fit()
    monkeypatch.setattr(optim, "set_rates", real)
    parts.fit(resume=True)
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
    state = b.fit(epochs=1, accumulate=2)
    steps = b.data.steps("train", drop_last=True)
    assert state.step == math.ceil(steps / 2)
    assert state.samples == steps * 16


def test_a_resume_under_other_facts_is_refused_by_name(bench):
    b = bench("a")
    b.fit(epochs=1, facts={"data": "x", "torch": "1"})
    with pytest.raises(ValueError, match="data: was 'x', is 'y'"):
        b.fit(epochs=2, resume=True, facts={"data": "y", "torch": "1"})


def test_early_stopping_keeps_the_best(bench):
    b = bench("a")
    scores = iter([3.0, 2.0, 2.5, 2.6, 2.7, 2.8, 2.9])
    state = b.fit(epochs=7, validate_every=1, validate=lambda: {"val/s": next(scores)}, monitor="val/s", patience=2)
    assert state.epoch == 4
    assert state.best == 2.0
    best = Store(b.folder / "checkpoints", 2).best()
    assert json.loads((best / "state.json").read_text())["state"]["epoch"] == 2


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
    assert a != b


def test_a_loss_that_is_not_finite_stops_soon(bench, monkeypatch):
    b = bench("a", "loss.temperature=1e-30")
    monkeypatch.setattr(optim, "factor", lambda *_, **__: 1e30)
    with pytest.raises(FloatingPointError, match="has not been finite for"):
        b.fit(epochs=50, clip_norm=None)
    assert b.rows()[-1]["step"] <= 30


def test_seeds_of_steps_and_ranks_differ():
    assert len({_mix(s, t, r) for s in range(5) for t in range(50) for r in range(4)}) == 1000
