from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from multimodal_lab.head.late_fusion import log_mixture, logit_mixture
from multimodal_lab.loss.classification import bce

DIMS = {"a": 6, "b": 4, "c": 5}


def rows_sum_to_one(log_p: torch.Tensor) -> bool:
    return bool(((log_p.exp().sum(1) - 1).abs() < 1e-6).all())


@pytest.mark.parametrize("weights", ["learned", "uniform"])
def test_rows_are_distributions_for_every_presence(weights, build, make, batch):
    present = {s: torch.tensor([bool(i >> k & 1) for i in range(8)]) for k, s in enumerate(DIMS)}
    head = build("late_fusion", DIMS, weights=weights, classes={"species": 40})
    out = head(make(DIMS, 8, present), batch(8))
    assert out.shape == (8, 40)
    assert rows_sum_to_one(out)
    assert torch.allclose(out[0], torch.full((40,), -math.log(40)))  # nothing is there: the prior, uniform at the start


def test_the_weighted_sum_of_log_probabilities_would_not_be_one():
    g = torch.Generator().manual_seed(0)
    log_p = torch.randn(6, 3, 5, generator=g).log_softmax(-1)
    log_w = torch.randn(6, 3, generator=g).log_softmax(-1)
    assert rows_sum_to_one(log_mixture(log_p, log_w))
    assert not rows_sum_to_one((log_w.exp()[..., None] * log_p).sum(1))


def test_oracle_of_the_mixture(build, make, batch):
    head = build("late_fusion", DIMS).eval()
    head.scores.data = torch.tensor([0.3, -1.0, 2.0])
    present = {"a": torch.tensor([True, True]), "b": torch.tensor([True, False]), "c": torch.tensor([True, True])}
    features = make(DIMS, 2, present)
    out = head(features, batch(2)).exp()
    p = {n: head.experts[n](features[n].pooled).softmax(1) for n in DIMS}
    w = dict(zip(DIMS, (math.exp(0.3), math.exp(-1.0), math.exp(2.0))))
    torch.testing.assert_close(out[0], sum(w[n] * p[n][0] for n in DIMS) / sum(w.values()))
    torch.testing.assert_close(out[1], (w["a"] * p["a"][1] + w["c"] * p["c"][1]) / (w["a"] + w["c"]))


def test_uniform_weights_are_fixed_and_equal(build, make, batch):
    head = build("late_fusion", DIMS, weights="uniform").eval()
    features = make(DIMS, 2)
    mean = torch.stack([head.experts[n](features[n].pooled).softmax(1) for n in DIMS]).mean(0)
    torch.testing.assert_close(head(features, batch(2)).exp(), mean)
    assert {k.split(".")[0] for k, _ in head.named_parameters()} == {"experts"}


def test_certain_and_wrong_experts_stay_finite():
    log_p = torch.tensor([[[200.0, 0.0], [0.0, 300.0]]]).log_softmax(-1).requires_grad_()
    log_w = torch.tensor([[0.5, 0.5]]).log()
    out = log_mixture(log_p, log_w)
    out.sum().backward()
    torch.testing.assert_close(out.exp(), torch.tensor([[0.5, 0.5]]))
    assert torch.isfinite(log_p.grad).all()


def test_fused_is_not_read(build):
    assert list(build("late_fusion", {**DIMS, "fused": 8}).experts) == ["a", "b", "c"]


def test_half_precision_still_sums_to_one(build, make, batch):
    head = build("late_fusion", DIMS, classes={"species": 200})
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = head(make(DIMS, 4), batch(4))
    assert out.dtype is torch.float32
    assert rows_sum_to_one(out)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize("weights", ["learned", "uniform"])
def test_oracle_of_several_labels_whatever_streams_are_there(weights, build, make, batch):
    head = build("late_fusion", DIMS, weights=weights, several=["species"]).eval().double()
    head.scores.data = torch.tensor([0.3, -1.0, 2.0] if weights == "learned" else [0.0] * 3, dtype=torch.float64)
    head.prior.data = torch.arange(5, dtype=torch.float64) / 10
    present = {s: torch.tensor([bool(i >> k & 1) for i in range(8)]) for k, s in enumerate(DIMS)}
    features = {n: replace(f, pooled=f.pooled.double()) for n, f in make(DIMS, 8, present).items()}
    out = head(features, batch(8))
    x = {n: head.experts[n](features[n].pooled).tolist() for n in DIMS}
    w = dict(zip(DIMS, (math.exp(s) for s in head.scores.tolist())))
    total = 0.0
    for i, row in enumerate(out.tolist()):
        there = [n for n in DIMS if present[n][i]]
        whole = sum(w[n] for n in there)
        for k, logit in enumerate(row):
            p = sum(w[n] * sigmoid(x[n][i][k]) for n in there) / whole if there else sigmoid(k / 10)
            assert sigmoid(logit) == pytest.approx(p, abs=1e-12)
            total -= math.log(p if (i + k) % 2 else 1 - p)
    target = (torch.arange(8)[:, None] + torch.arange(5)) % 2
    assert bce(out, target.double()).item() == pytest.approx(total / 40, abs=1e-12)


def test_several_labels_are_learnt_of_every_stream_that_is_there(build, make, batch):
    head = build("late_fusion", DIMS, several=["species"]).eval()
    present = {"a": torch.tensor([True, True]), "b": torch.tensor([True, False]), "c": torch.tensor([True, True])}
    bce(head(make(DIMS, 2, present), batch(2))[1:], torch.ones(1, 5)).backward()
    told = {n: float(sum(p.grad.abs().sum() for p in head.experts[n].parameters())) for n in DIMS}
    assert told["a"] > 0
    assert told["c"] > 0
    assert told["b"] == 0  # a stream that the row lacks
    assert head.scores.grad.count_nonzero() == 2


def test_certain_experts_keep_their_logit_and_their_gradient():
    x = torch.tensor([[[300.0, -300.0, 200.0]], [[300.0, -300.0, 200.0]]]).repeat(1, 2, 1)
    x[1, 1] = -x[1, 1]
    x.requires_grad_()
    out = logit_mixture(x, torch.full((2, 2), 0.5).log())
    torch.testing.assert_close(out, torch.tensor([[300.0, -300.0, 200.0], [0.0, 0.0, 0.0]]))  # 1 - sigmoid(300) is 0
    out.sum().backward()
    torch.testing.assert_close(x.grad[0], torch.full((2, 3), 0.5))
    assert torch.isfinite(x.grad).all()
