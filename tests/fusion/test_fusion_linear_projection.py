from __future__ import annotations

import torch

DIMS = {"a": 3, "b": 4}


def test_sum_over_the_present_without_the_bias_of_the_missing(build, make):
    fusion = build("linear_projection", DIMS, width=6)
    present = {"a": torch.tensor([True, True, False]), "b": torch.tensor([True, False, False])}
    features = make(DIMS, 3, present)
    fused = fusion(features)["fused"].pooled
    a, b = fusion.project["a"](features["a"].pooled), fusion.project["b"](features["b"].pooled)
    torch.testing.assert_close(fused, torch.stack([a[0] + b[0], a[1], torch.zeros(6)]))


def test_width_defaults_to_the_widest(build):
    assert build("linear_projection", DIMS).dims == {"a": 3, "b": 4, "fused": 4}
