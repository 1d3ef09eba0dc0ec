from __future__ import annotations

import pytest
import torch
from torch import nn

DIMS = {"a": 6, "b": 4, "c": 5}
TOKENS = {"a": 3, "b": 2, "c": 1}
OWNER = torch.tensor([0, 0, 0, 1, 1, 2])


@pytest.mark.parametrize("layers", [1, 2])
def test_weights_sum_to_one_over_real_keys_of_other_streams(layers, build, make):
    fusion = build("attention", DIMS, width=8, heads=2, layers=layers)
    present = {"a": torch.tensor([True, True]), "b": torch.tensor([True, False]), "c": torch.tensor([True, False])}
    features = make(DIMS, 2, present, TOKENS)
    features["a"].mask[0, 2] = False
    fused = fusion(features)["fused"]
    weights = fused.weights["attention"]
    assert weights.shape == (2, 2, 6, 7)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 6))
    own = OWNER[:, None] == OWNER[None, :]
    allowed = fused.mask[:, None, None, :] & ~own
    assert (weights[..., 1:][~allowed.expand(2, 2, 6, 6)] == 0).all()
    assert (weights[..., 1:][allowed.expand(2, 2, 6, 6)] > 0).all()
    assert (weights[..., 0] > 0).all()
    assert (weights[1, :, :3, 0] == 1).all()  # nothing of another stream is there: all goes to the learned token


def test_a_single_key_teaches_queries_and_keys_nothing_and_ours_does(build, make):
    dims, tokens = {"a": 8, "b": 8}, {"a": 1, "b": 1}
    features = make(dims, 4, tokens=tokens)
    naive = nn.MultiheadAttention(8, 2, batch_first=True)
    query, key = features["a"].tokens.detach(), features["b"].tokens.detach()
    naive(query, key, key)[0].square().sum().backward()
    assert naive.in_proj_weight.grad[:16].abs().max() < 1e-6

    fusion = build("attention", dims, width=8, heads=2)
    fused = fusion(features)["fused"].pooled
    (fused * torch.randn(fused.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
    grad = fusion.blocks[0].attend.in_proj_weight.grad
    assert grad[:8].abs().max() > 1e-6
    assert grad[8:16].abs().max() > 1e-6


def test_one_head_equals_slow_attention(build, make):
    fusion = build("attention", DIMS, width=4, heads=1).double().eval()
    features = make(DIMS, 1, tokens=TOKENS)
    for f in features.values():
        f.tokens, f.pooled = f.tokens.double(), f.pooled.double()
    block = fusion.blocks[0]
    x = torch.cat([fusion.project[n](features[n].tokens) for n in DIMS], 1)[0]
    keys = block.norm_key(torch.cat([block.token[0], x]))
    q, k, v = (
        side @ w.T + b
        for side, w, b in zip(
            (block.norm_query(x), keys, keys), block.attend.in_proj_weight.chunk(3), block.attend.in_proj_bias.chunk(3)
        )
    )
    updated = []
    for i in range(6):
        others = [0] + [1 + j for j in range(6) if OWNER[j] != OWNER[i]]
        scores = torch.stack([(q[i] * k[j]).sum() / 2 for j in others]).exp()
        read = sum(s / scores.sum() * v[j] for s, j in zip(scores, others))
        row = x[i] + block.attend.out_proj(read)
        updated.append(fusion.norm(row + block.mlp(block.norm_mlp(row))))
    fused = fusion(features)["fused"]
    torch.testing.assert_close(fused.tokens[0], torch.stack(updated))
    torch.testing.assert_close(fused.pooled[0], torch.stack(updated).mean(0))


def test_both_ways(build, make):
    dims = {"rgb": 4, "uv": 4}
    fusion = build("attention", dims, width=4, heads=1).eval()
    one, two = make(dims, 2, seed=1), make(dims, 2, seed=2)
    base = fusion(one)["fused"].tokens
    for changed, other in (("rgb", slice(2, None)), ("uv", slice(0, 2))):
        moved = fusion({**one, changed: two[changed]})["fused"].tokens
        assert ((moved - base)[:, other].abs().amax((1, 2)) > 1e-6).all()  # the other stream's tokens took it in


def test_tokens_see_those_of_their_own_stream_where_they_are_told_to(build, make):
    features = make(DIMS, 2, None, TOKENS)
    weights = build("attention", DIMS, width=8, heads=2, own=True)(features)["fused"].weights["attention"]
    assert (weights > 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 6))
