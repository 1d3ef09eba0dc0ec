from __future__ import annotations

import torch

DIMS = {"a": 8, "b": 8}


def test_the_token_is_added_and_tells_the_streams_apart(build, make):
    fusion = build("modality_tokens", DIMS).eval()
    x = make({"a": 8}, 2)["a"]
    out = fusion({"a": x, "b": x})
    torch.testing.assert_close(out["a"].tokens, x.tokens + fusion.tokens[0])
    assert (out["a"].pooled - out["b"].pooled).abs().max() > 1e-2
    torch.testing.assert_close(out["fused"].pooled, (out["a"].pooled + out["b"].pooled) / 2)


def test_tokens_start_small(build):
    tokens = build("modality_tokens", {"a": 1024, "b": 1024}).tokens
    assert tokens.shape == (2, 1024)
    assert abs(tokens.std().item() - 0.02) < 0.002


def test_fused_is_the_mean_over_the_present(build, make):
    present = {"a": torch.tensor([True, True, False]), "b": torch.tensor([True, False, False])}
    out = build("modality_tokens", DIMS).eval()(make(DIMS, 3, present))
    torch.testing.assert_close(out["fused"].pooled[1], out["a"].pooled[1])
    torch.testing.assert_close(out["fused"].pooled[0], (out["a"].pooled[0] + out["b"].pooled[0]) / 2)


def test_weights_sum_to_one_over_real_keys(build, make):
    features = make(DIMS, 2, tokens={"a": 3, "b": 2})
    features["a"].mask[0, 1:] = False
    weights = build("modality_tokens", DIMS)(features)["a"].weights["attention"]
    assert weights.shape == (2, 4, 1, 4)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, 1))
    assert (weights[0, :, :, 2:] == 0).all()


def test_unequal_widths_are_projected_and_equal_ones_are_not(build):
    unequal = build("modality_tokens", {"a": 8, "b": 4})
    assert unequal.dims == {"a": 8, "b": 8, "fused": 8}
    assert [n for n, _ in unequal.named_parameters() if n.startswith("project")] == [
        "project.b.weight",
        "project.b.bias",
    ]
