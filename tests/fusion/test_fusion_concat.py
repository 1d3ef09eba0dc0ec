from __future__ import annotations

import torch

DIMS = {"a": 3, "b": 4}


def test_plain_is_the_concatenation_with_the_absent_vector_where_missing(build, make):
    fusion = build("concat", DIMS)
    present = {"a": torch.tensor([True, True, False]), "b": torch.tensor([True, False, False])}
    features = make(DIMS, 3, present)
    fused = fusion(features)["fused"].pooled
    assert fusion.dims["fused"] == 7
    assert torch.equal(fused[0], torch.cat([features["a"].pooled[0], features["b"].pooled[0]]))
    assert torch.equal(fused[1], torch.cat([features["a"].pooled[1], fusion.absent["b"]]))
    assert not fused[2].any()


def test_absent_is_told_from_a_zero_vector(build, make):
    fusion = build("concat", DIMS, width=5)
    features = make(DIMS, 1)
    zero = features["b"].keep(torch.tensor([True]))
    zero.pooled = torch.zeros_like(zero.pooled)
    absent = features["b"].keep(torch.tensor([False]))
    one, two = fusion({**features, "b": zero})["fused"], fusion({**features, "b": absent})["fused"]
    assert (one.pooled - two.pooled).abs().max() > 1e-3
