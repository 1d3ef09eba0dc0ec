from __future__ import annotations

import pytest
import torch

DIMS = {"image": 6, "text": 4, "audio": 5}


def test_unknown_query_names_the_nearest(build):
    with pytest.raises(
        ValueError, match=r"query='txet' is no stream; expected one of image, text, audio; nearest: text"
    ):
        build("cross_attend", DIMS, query="txet")


def test_queries_are_those_of_the_asking_stream(build, make):
    features = make(DIMS, 2, tokens={"image": 3, "text": 2, "audio": 1})
    first = build("cross_attend", DIMS, width=8)(features)["fused"]
    text = build("cross_attend", DIMS, query="text", width=8)(features)["fused"]
    assert first.weights["attention"].shape == (2, 4, 1 + 3, 1 + 2 + 1)
    assert text.weights["attention"].shape == (2, 4, 1 + 2, 1 + 3 + 1)
    assert text.tokens.shape == (2, 3, 8)
    torch.testing.assert_close(text.weights["attention"].sum(-1), torch.ones(2, 4, 3))


def test_masked_keys_get_nothing_and_a_missing_query_still_hears_the_others(build, make):
    present = {"image": torch.tensor([True, False]), "text": torch.tensor([False, True])}
    present["audio"] = torch.tensor([True, False])
    fusion = build("cross_attend", DIMS, query="text", width=8).eval()
    tokens = {"image": 3, "text": 2, "audio": 1}
    fused = fusion(make(DIMS, 2, present, tokens))["fused"]
    assert (fused.weights["attention"][1, :, :, 1:] == 0).all()
    assert (fused.weights["attention"][0] > 0).all()
    other = fusion(make(DIMS, 2, present, tokens, seed=3))["fused"]
    assert fused.mask.tolist() == [[True, False, False], [True, True, True]]
    assert (fused.pooled[0] - other.pooled[0]).abs().max() > 1e-4
