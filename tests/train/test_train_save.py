"""What a checkpoint holds: what acts while training, resumed exactly, and trained weights without the frozen ones."""

import os
import signal

import pytest
import torch
from safetensors.torch import load_file

from multimodal_lab.build import build
from multimodal_lab.checkpoint import store
from multimodal_lab.checkpoint.manifest import CheckpointError
from multimodal_lab.checkpoint.store import CheckpointStore
from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.experiment import run as experiment
from multimodal_lab.experiment.adapted import adapter
from multimodal_lab.experiment.reload import embed_files
from multimodal_lab.log.log import Log
from multimodal_lab.optim import optimizers
from multimodal_lab.train import loop
from multimodal_lab.train.config import TrainConfig
from multimodal_lab.train.interrupt import Interrupted
from multimodal_lab.train.loop import fit

TRAIN = ["fusion=separate", "loss=simclr", "evaluate=[collapse]", "train.max_steps=3", "train.validate_every=0"]
FREEZE = [*TRAIN, "adapt=freeze", "train.save=trained"]


class Prune:
    """As AdaLoRA: an average of |weight * gradient| says which weights of a layer are 0 from now on."""

    def __init__(self, system):
        self.weight = system.heads["projection"].own["rgb"].first.weight
        self.importance = torch.zeros_like(self.weight)
        self.seen = []

    def after_gradient(self, step, total):
        assert self.weight.grad is not None
        self.seen.append((step, total))
        self.importance.mul_(0.9).add_((self.weight * self.weight.grad).detach().abs(), alpha=0.1)
        least = self.importance.flatten().kthvalue(self.importance.numel() // 2).values
        with torch.no_grad():
            self.weight[self.importance <= least] = 0

    def state_dict(self):
        return {"importance": self.importance}

    def load_state_dict(self, state):
        self.importance = state["importance"].clone()


@pytest.fixture
def trains(composed, tmp_path):
    cfg = composed(*TRAIN[:2], "fusion=separate")
    data = safe_instantiate(cfg.data).prepare(safe_instantiate(cfg.modality), 0)

    def train(name, adapt=Prune, stop=None, resume="never", accumulate=1, **knobs):
        torch.manual_seed(0)
        system = safe_instantiate(cfg.system)(data.streams, {k: len(v) for k, v in data.classes.items()})
        vars(system)["adapter"] = adapt(system) if adapt else None
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        real, calls = loop.set_rates, []

        def stopping(optimizer, multiplier):
            calls.append(1)
            if len(calls) == stop:
                os.kill(os.getpid(), signal.SIGTERM)
            real(optimizer, multiplier)

        loop.set_rates = stopping
        try:
            fit(
                system, data, optimizers.adamw(system, lr=1e-2), TrainConfig(max_steps=5, epochs=9, validate_every=0, **knobs),
                augment=build(safe_instantiate(cfg.augment), streams=data.streams), validate=dict, log=Log(folder, main=True),
                store=CheckpointStore(folder / "checkpoints", 2), seed=0, device=torch.device("cpu"), facts={"a": 1},
                resume=resume,
            )  # fmt: skip
        finally:
            loop.set_rates = real
        return system

    train.folder = tmp_path
    return train


def test_what_acts_after_the_gradient_is_saved_and_resumed_to_the_bit(trains):
    whole = trains("whole")
    assert whole.adapter.seen == [(i, 5) for i in range(5)]
    weight = whole.adapter.weight
    assert 0.4 < (weight == 0).float().mean() < 0.6
    with pytest.raises(Interrupted):
        trains("parts", stop=3)
    parts = trains("parts", resume="auto")
    assert parts.adapter.seen == [(3, 5), (4, 5)]
    assert all(torch.equal(x, parts.state_dict()[k]) for k, x in whole.state_dict().items())
    assert torch.equal(whole.adapter.importance, parts.adapter.importance)
    saved = load_file(CheckpointStore(trains.folder / "parts" / "checkpoints", 1).newest() / "adapter.safetensors")
    assert torch.equal(saved["importance"], whole.adapter.importance)


def test_a_resume_without_what_acted_is_refused(trains):
    with pytest.raises(Interrupted):
        trains("parts", stop=2)
    with pytest.raises(ValueError, match="unknown part 'adapter'"):
        trains("parts", adapt=None, resume="auto")
    with pytest.raises(Interrupted):
        trains("bare", adapt=None, stop=2)
    with pytest.raises(ValueError, match="the part 'adapter' is missing"):
        trains("bare", resume="auto")


def test_what_acts_must_be_able_to_go_on():
    class Forgetful:
        def after_gradient(self, step, total):
            """Learns nothing."""

    with pytest.raises(
        ValueError, match="adapt: Forgetful has after_gradient and no state_dict and no load_state_dict"
    ):
        adapter(Forgetful())
    with pytest.raises(ValueError, match=r"adapt: Prune changes whole weights, and train\.shard=true cuts them"):
        adapter(object.__new__(Prune), shard=True)
    assert adapter(None) is None
    assert adapter(torch.nn.Linear(1, 1)) is None


def newest(folder):
    return CheckpointStore(folder / "checkpoints", 1).newest()


@pytest.mark.parametrize("more", [[], ["train.ema=0.9"]], ids=["", "ema"])
def test_checkpoints_hold_trained_weights_alone_and_find_the_rest_again(composed, tmp_path, capsys, more):
    whole, few = tmp_path / "whole", tmp_path / "few"
    experiment.run(composed(*FREEZE, *more, "train.save=all"), whole)
    experiment.run(composed(*FREEZE, *more), few)
    assert "train.save=trained: checkpoints hold " in capsys.readouterr().out
    held, every = (load_file(newest(folder) / "model.safetensors") for folder in (few, whole))
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    trained = {k for k in every if not k.startswith("backbones.") or k.endswith(statistics)}
    assert held.keys() == trained
    assert all(torch.equal(x, every[k]) for k, x in held.items())
    assert all((newest(few) / f).exists() == bool(more) for f in ("ema.safetensors",))
    cfg = composed(*FREEZE, *more)
    for folder, name in ((few, "a"), (whole, "b")):
        said = embed_files(
            cfg if folder == few else composed(*FREEZE, *more, "train.save=all"), folder, tmp_path / name
        )
        assert "samples embedded" in said
    a, b = (Embeddings.load(tmp_path / name).vectors for name in "ab")
    assert a.keys() == b.keys()
    assert all((a[k] == b[k]).all() for k in a)
    with pytest.raises(CheckpointError, match=r"holds the trained weights alone \(train.save=trained\), and the \d+ frozen ones "
                                              r"\(such as backbones\..*\) are not those that it was trained with"):  # fmt: skip
        embed_files(composed(*FREEZE, *more, "seed=1"), few, tmp_path / "c")


def test_frozen_encoders_come_from_their_runs_again(composed, tmp_path):
    encoders, few = tmp_path / "encoders", tmp_path / "few"
    experiment.run(composed(*TRAIN), encoders)
    use = ["head=classifier", "loss=cross_entropy", "augment=none", "evaluate=[collapse]", "train.max_steps=2", "fusion=concat",
           "adapt=encoders", f"adapt.runs=[{encoders}]", "train.save=trained"]  # fmt: skip
    experiment.run(composed(*use), few)
    assert not [
        k for k in load_file(newest(few) / "model.safetensors") if k.startswith("backbones.") and k.endswith("weight")
    ]
    assert "samples embedded" in embed_files(composed(*use), few, tmp_path / "a")
    with pytest.raises(
        Exception, match=r"adapt\.runs: .* holds the trained weights alone .*, without backbones\.each\."
    ):
        experiment.run(composed(*use[:-1], f"adapt.runs=[{few}]"), tmp_path / "of_few")


def test_a_run_without_frozen_weights_resumes_to_the_same_bits(trains):
    def frozen(system):
        for p in system.backbones.parameters():
            p.requires_grad_(False)

    whole = trains("whole", adapt=frozen, save="trained")
    with pytest.raises(Interrupted):
        trains("parts", adapt=frozen, save="trained", stop=3)
    parts = trains("parts", adapt=frozen, save="trained", resume="auto")
    assert all(torch.equal(x, parts.state_dict()[k]) for k, x in whole.state_dict().items())

    def other(system):
        frozen(system)
        with torch.no_grad():
            next(system.backbones.parameters()).add_(1)

    with pytest.raises(CheckpointError, match="frozen"):
        trains("parts", adapt=other, save="trained", resume="auto")
    assert store.left_out(newest(trains.folder / "parts"))["names"]
