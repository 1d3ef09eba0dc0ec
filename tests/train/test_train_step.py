"""One update against torch's own clipping and fused AdamW, written out by hand."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

from multimodal_lab.optim.optimizers import adamw, sgd
from multimodal_lab.train.step import Step
from multimodal_lab.types import Batch

SIZES = [
    math.nan,
    1.0,
    3.0,
    math.inf,
    0.1,
    1.0,
]  # of each step's inputs: the first and the fourth give no finite gradient
CPU = torch.device("cpu")


class Net(nn.Module):
    """As small as a System can be."""

    def __init__(self, dtype=torch.float32):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2)).to(dtype)

    def forward(self, batch, progress=0.0):
        return {"total": self.layers(batch.inputs["x"] * batch.inputs["size"]).square().sum() * batch.inputs["size"][0]}

    def unused(self):
        return []


def batch(size, dtype):
    rows = torch.randn(4, 3, generator=torch.Generator().manual_seed(1)).to(dtype)
    return Batch({"x": rows, "size": torch.full((1,), size, dtype=dtype)}, {}, {}, torch.arange(4), torch.arange(4))


def by_step(make, clip_norm, dtype):
    net = Net(dtype)
    optimizer = make(net)
    update = Step(
        net, optimizer, torch.amp.GradScaler("cpu", enabled=False), lambda b, *_: b, CPU, "fp32", 0, clip_norm
    )
    norms = [update([batch(size, dtype)], i, 0, 0.0)[1] for i, size in enumerate(SIZES)]
    assert all(p.grad is None for p in net.parameters())
    return net, optimizer, norms


def by_hand(make, clip_norm, dtype):
    net, norms = Net(dtype), []
    optimizer = make(net)
    for size in SIZES:
        net(batch(size, dtype))["total"].backward()
        norms.append(clip_grad_norm_(net.parameters(), math.inf if clip_norm is None else clip_norm))
        if torch.isfinite(norms[-1]):
            optimizer.step()
        optimizer.zero_grad()
    return net, optimizer, norms


@pytest.mark.parametrize("clip_norm", [None, 0.05, 1e6])
@pytest.mark.parametrize(("make", "dtype"), [(adamw, torch.float32), (adamw, torch.float64), (sgd, torch.float32)])
def test_a_step_is_torchs_clipping_and_update_and_one_that_is_not_finite_is_left_out(make, dtype, clip_norm):
    (net, optimizer, norms), (other, theirs, expected) = (f(make, clip_norm, dtype) for f in (by_step, by_hand))
    assert [math.isfinite(n) for n in norms] == [math.isfinite(s) for s in SIZES]
    torch.testing.assert_close(norms, expected, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(net.state_dict(), other.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(optimizer.state_dict()["state"], theirs.state_dict()["state"], rtol=0, atol=0)


def test_a_saved_optimizer_goes_on_as_if_never_saved():
    net, optimizer, _ = by_step(adamw, 1.0, torch.float32)
    saved = copy.deepcopy((net.state_dict(), optimizer.state_dict()))
    again = Net()
    resumed = adamw(again)
    again.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    for model, its in ((net, optimizer), (again, resumed)):
        Step(model, its, torch.amp.GradScaler("cpu", enabled=False), lambda b, *_: b, CPU, "fp32", 0, 1.0)(
            [batch(1.0, torch.float32)], 9, 0, 0.0
        )
    torch.testing.assert_close(net.state_dict(), again.state_dict(), rtol=0, atol=0)
