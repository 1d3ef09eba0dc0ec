"""Triplet margin loss between streams, with mined negatives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from multimodal_lab.bounds import NonNegative
from multimodal_lab.loss.contrastive import ContrastiveRows, own_class, rows
from multimodal_lab.loss.pairs import PairMatrix, compare
from multimodal_lab.loss.precision import mean_where
from multimodal_lab.loss.streams import FUSED, mean_of, required_pairs

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
) -> Tensor:
    """Mean over pairs of streams, both directions, of max(0, margin + cos(anchor, negative) - cos(anchor, positive)).

    hardest: for each anchor its least similar positive and most similar negative (Faghri 2018, eq. 6; Hermans 2017,
    eq. 5). semi_hard: for each anchor and positive the most similar negative that is less similar than the positive
    (Schroff 2015, eq. 4); where there is none, the least similar negative. The mean is over all anchors (pairs) that
    have a positive and a negative. z {name: (N, D)}, ids (N,), present {name: (N,) bool}; `fused` is left out. Fewer
    than two streams or an unknown `mining` is a `ValueError`.
    """
    ways = {"hardest": _hardest, "semi_hard": _semi_hard}
    if mining not in ways:
        raise ValueError(f"triplet: mining must be one of {', '.join(ways)}, found {mining!r}")
    own = {}
    for name, x in z.items():
        if name != FUSED:
            own[name] = rows(x, own_class(x, ids), present[name])
    both = [pairs for a, b in required_pairs(z, "triplet") for pairs in _both_ways(own[a], own[b])]
    return mean_of(ways[mining](pairs, margin) for pairs in both)


def _both_ways(a: ContrastiveRows, b: ContrastiveRows) -> tuple[PairMatrix, PairMatrix]:
    there = compare(a, b)
    return there, PairMatrix(there.cosine.T, there.positive.T, there.negative.T)


def _hardest(pairs: PairMatrix, margin: float) -> Tensor:
    cosine, positive, negative = pairs
    near = cosine.masked_fill(~positive, INF).amin(1)
    far = cosine.masked_fill(~negative, -INF).amax(1)
    return mean_where(F.relu(margin + far - near), positive.any(1) & negative.any(1))


def _semi_hard(pairs: PairMatrix, margin: float) -> Tensor:
    cosine, positive, negative = pairs
    ranked, _ = cosine.masked_fill(~negative, INF).sort(1)
    # Negatives below the positive, counted; the last of them is wanted, and the first of all where there is none.
    below = torch.searchsorted(ranked.detach(), cosine.detach().contiguous())
    chosen = ranked.gather(1, (below - 1).clamp(min=0))
    valid = positive & negative.any(1, keepdim=True)
    lost = F.relu(margin + torch.where(valid, chosen, 0.0) - cosine)
    return mean_where(lost.flatten(), valid.flatten())
