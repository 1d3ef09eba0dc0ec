from __future__ import annotations

import math

import pytest
import torch

from multimodal_lab.head.late_fusion import log_mixture

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
