"""The held-out loss is a mean over samples, whatever the batches, and leaves no trace."""

import contextlib

import pytest
import torch
from torch import Tensor, nn

from multimodal_lab import progress
from multimodal_lab.experiment.evaluate import losses
from multimodal_lab.types import Batch


class Mean(nn.Module):
    """Stands where a System does: one term, the mean of what it sees; noisy while it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        assert progress == 1.0
        value = self.dropout(batch.inputs["x"]).mean()
        return {"value": value, "total": 2 * value}


class Data:
    """Seven rows in batches of three: the last one is ragged."""

    def __init__(self) -> None:
        self.splits = {"test": range(7), "val": ()}
        self.x = torch.arange(7.0)

    def steps(self, split):
        return 3

    def batches(self, split, *, epoch, shuffle, drop_last):
        assert (split, epoch, shuffle, drop_last) == ("test", 0, False, False)
        for part in self.x.split(3):
            yield Batch({"x": part}, {}, {}, torch.arange(len(part)), torch.arange(len(part)))


def told(split):
    system = Mean().train()
    state = torch.get_rng_state()
    found = losses(
        system, Data(), split, augment=lambda batch, seed, epoch: batch, seed=0, device=torch.device("cpu"),
        autocast=contextlib.nullcontext,
    )  # fmt: skip
    assert system.training
    assert system.dropout.training
    assert torch.equal(state, torch.get_rng_state())
    return found


def test_each_sample_counts_once():
    assert told("test") == {"test/value": pytest.approx(3.0), "test/total": pytest.approx(6.0)}


def test_the_pass_is_told_while_it_goes_on(monkeypatch, capsys):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    progress.show(True)
    told("test")
    progress.show(False)
    assert "loss on the test split 2/3" in capsys.readouterr().out


def test_an_empty_split_has_no_loss():
    assert told("val") == {}
