"""Triplet margin loss between streams, with mined negatives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from multimodal_lab.bounds import NonNegative
from multimodal_lab.loss.contrastive import own_class
from multimodal_lab.loss.pair_weights import Hub, PairWeights
from multimodal_lab.loss.streams import TextIds, mean_over_pairs, pair_ids
from multimodal_lab.loss.tiled.anchors import both_ways

INF = float("inf")

pairs = True
samples = 2
leaves_out = ("fused",)  # it has seen both sides of any pair


def triplet(
    z: Mapping[str, Tensor],
    ids: Tensor,
    present: Mapping[str, Tensor],
    margin: NonNegative,
    mining: Literal["hardest", "semi_hard"] = "hardest",
    hub: Hub = None,
    pair_weights: PairWeights = None,
    text_ids: TextIds = None,
) -> Tensor:
    """Mean over pairs of streams, both directions, of max(0, margin + cos(anchor, negative) - cos(anchor, positive)).

    hardest: for each anchor its least similar positive and most similar negative (Faghri 2018, eq. 6; Hermans 2017,
    eq. 5). semi_hard: for each anchor and positive the most similar negative that is less similar than the positive
    (Schroff 2015, eq. 4); where there is none, the least similar negative. The mean is over all anchors (pairs) that
    have a positive and a negative. z {name: (N, D)}, ids (N,), present {name: (N,) bool}; `fused` is left out. hub,
    pair_weights: `weigh`. text_ids: see `pair_ids`. Fewer than two streams or an unknown `mining` is a `ValueError`.
    """
    ways = {"hardest": _hardest, "semi_hard": _semi_hard}
    if mining not in ways:
        raise ValueError(f"triplet: mining must be one of {', '.join(ways)}, found {mining!r}")

    def score(cosine: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
        lost, valid = ways[mining](cosine, positive, negative, margin)
        return torch.where(valid, lost, 0.0).sum(), valid.sum()

    def term(a: str, b: str) -> Tensor:
        one = own_class(z[b], own_class(z[a], pair_ids(ids, text_ids, a, b)))  # row i of both sides is one sample
        return both_ways(score, z[a], z[b], one, present[a], present[b])

    return mean_over_pairs(term, z, "triplet", hub, pair_weights)


def _hardest(cosine: Tensor, positive: Tensor, negative: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    near = cosine.masked_fill(~positive, INF).amin(1)
    far = cosine.masked_fill(~negative, -INF).amax(1)
    return F.relu(margin + far - near), positive.any(1) & negative.any(1)


def _semi_hard(cosine: Tensor, positive: Tensor, negative: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    ranked, _ = cosine.masked_fill(~negative, INF).sort(1)
    # Negatives below the positive, counted; the last of them is wanted, and the first of all where there is none.
    below = torch.searchsorted(ranked.detach(), cosine.detach().contiguous())
    chosen = ranked.gather(1, (below - 1).clamp(min=0))
    valid = positive & negative.any(1, keepdim=True)
    return F.relu(margin + torch.where(valid, chosen, 0.0) - cosine), valid
