from __future__ import annotations

import math

import pytest
import torch

from multimodal_lab.fusion.weighted import gates_over

DIMS = {"a": 3, "b": 4, "c": 5}


@pytest.mark.parametrize("gate", ["global", "sample"])
def test_dropping_a_stream_renormalises_the_others(gate, build, make):
    fusion = build("weighted", DIMS, gate=gate)
    if gate == "global":
        fusion.scores.data = torch.tensor([0.3, -1.0, 2.0])
    present = {"a": torch.tensor([True, True, False]), "b": torch.tensor([True, False, False])}
    present["c"] = torch.tensor([True, True, False])
    gates = fusion(make(DIMS, 3, present))["fused"].weights["gates"]
    torch.testing.assert_close(gates.sum(1), torch.tensor([1.0, 1.0, 0.0]))
    assert gates[1, 1] == 0
    if gate == "global":
        want = [math.exp(0.3), 0.0, math.exp(2.0)]
        torch.testing.assert_close(gates[1], torch.tensor([w / sum(want) for w in want]))


def test_oracle_of_the_sum(build, make):
    fusion = build("weighted", DIMS)
    fusion.scores.data = torch.tensor([0.3, -1.0, 2.0])
    features = make(DIMS, 2)
    weights = [math.exp(s) / sum(math.exp(t) for t in (0.3, -1.0, 2.0)) for s in (0.3, -1.0, 2.0)]
    want = sum(w * fusion.project[n](features[n].pooled) for w, n in zip(weights, DIMS))
    torch.testing.assert_close(fusion(features)["fused"].pooled, want)
    assert fusion.dims["fused"] == 5


def test_sample_gates_vary_by_sample_and_global_ones_do_not(build, make):
    features = make(DIMS, 6)
    by_sample = build("weighted", DIMS, gate="sample")(features)["fused"].weights["gates"]
    same = build("weighted", DIMS, gate="global")(features)["fused"].weights["gates"]
    assert (by_sample.std(0) > 1e-3).all()
    assert torch.equal(same, torch.full((6, 3), 1 / 3))


def test_scores_of_any_size_stay_finite():
    scores = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    gates = gates_over(scores, torch.tensor([[False, True, True]]))
    gates.square().sum().backward()
    assert torch.equal(gates, torch.tensor([[0.0, 0.0, 1.0]]))
    assert torch.isfinite(scores.grad).all()
