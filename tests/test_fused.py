"""The quick update of the fused optimizer against torch's own way."""

import copy
import math

import pytest
import torch
from torch import nn

from multimodal_lab import fused
from multimodal_lab.optim import adamw
from multimodal_lab.step import Step, total_norm
from multimodal_lab.types import Batch


class Whole(nn.Module):
    """As small as a System can be."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, batch, progress):
        return {"total": self.layer(batch.inputs["x"]).square().mean()}

    def unused(self):
        return []


@pytest.mark.parametrize("most", [None, 0.05, 1e6])
def test_the_quick_update_is_torchs_clipping_and_step(most):
    """Same moments and counts as `clip_grad_norm_` and the fused step, a lost step and a late gradient included."""
    norms = {0: 1.0, 1: math.nan, 2: 3.0, 3: math.inf, 4: 1.0, 5: 0.1}
    found = []
    for quick in (False, True):
        torch.manual_seed(0)
        toy = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
        optimizer = adamw(toy, lr=0.01, rates={"2": 0.1})
        if not quick:
            optimizer = torch.optim.AdamW(optimizer.param_groups, fused=True)
        seen = []
        for i, size in norms.items():
            optimizer.zero_grad()
            for j, p in enumerate(toy.parameters()):
                p.grad = None if i < 2 and j == 2 else torch.randn(p.shape) * size
            if i == 4:  # a state that was saved and taken back
                optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
            if quick:
                norm = total_norm(list(toy.parameters()))
                optimizer.update(norm, most)
            else:
                norm = nn.utils.clip_grad_norm_(toy.parameters(), math.inf if most is None else most)
                if math.isfinite(norm):
                    optimizer.step()
            seen.append(float(norm))
        found.append((seen, [p.detach() for p in toy.parameters()], optimizer.state_dict()["state"]))
    (seen, plain, states), (ours, quickly, held) = found
    assert str(seen) == str(ours)
    torch.testing.assert_close(quickly, plain, rtol=2e-6, atol=1e-7)
    assert states.keys() == held.keys()
    for key, state in states.items():
        assert state.keys() == held[key].keys()
        for name, value in state.items():
            torch.testing.assert_close(held[key][name], value, rtol=1e-5, atol=1e-9)


def test_a_step_takes_the_quick_update_where_it_may_and_leaves_no_gradient(monkeypatch):
    called = []
    real = fused.AdamW.update
    monkeypatch.setattr(fused.AdamW, "update", lambda self, *a: (called.append(1), real(self, *a)))
    for kind, precision in ((torch.float32, "fp32"), (torch.float64, "fp32")):
        toy = Whole().to(kind)
        batch = Batch({"x": torch.randn(4, 3, dtype=kind)}, {}, {}, torch.arange(4), torch.arange(4))
        scaler = torch.amp.GradScaler("cpu", enabled=False)
        update = Step(toy, adamw(toy), scaler, lambda b, seed, epoch: b, torch.device("cpu"), precision, 0, 1.0)
        before = toy.layer.weight.detach().clone()
        update([batch], 0, 0, 0.0)
        assert (before - toy.layer.weight).abs().max() > 5e-4  # AdamW's first step is lr
        assert all(p.grad is None for p in toy.parameters())
    assert len(called) == 1
