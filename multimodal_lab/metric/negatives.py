"""The hardest negatives of each query: the nearest keys that are no positive and show no positive again."""

from __future__ import annotations

import torch
from torch import Tensor

from multimodal_lab.metric.neighbours import top_k
from multimodal_lab.metric.retrieval import Positives

_ROWS = 512  # queries at a time
_SPARE = 16  # keys that are looked at beyond k and the positives, for those that show a positive again


def hardest(a: Tensor, b: Tensor, positives: Positives, k: int, alike: float = 1e-5) -> tuple[Tensor, Tensor]:
    """Cosines (N, k) and rows of b (N, k) of the k nearest negatives of each query, the hardest first; -1 where there are fewer.

    a (N, D), b (M, D), unit rows; positives: see `Positives`. A key whose cosine to a positive is above 1 - alike is the same
    thing under another name and no negative. Nothing N x M is held.
    """
    scores = torch.full((len(a), k), -torch.inf, device=a.device)
    rows = torch.full((len(a), k), -1, dtype=torch.int64, device=a.device)
    for part in torch.split(torch.arange(len(a), device=a.device), _ROWS):
        own = positives.keys(part)
        near = top_k(a[part], b, min(len(b), k + own.shape[1] + _SPARE), unit=True)
        wrong = ~_right(b, near[1], own, alike)
        first = wrong.cumsum(1) <= k
        at, column = (wrong & first).nonzero().unbind(1)
        place = (wrong.cumsum(1) - 1)[at, column]
        scores[part[at], place], rows[part[at], place] = near[0][at, column], near[1][at, column]
    return scores, rows


def _right(b: Tensor, near: Tensor, own: Tensor, alike: float) -> Tensor:
    """(R, K) whether each of the nearest keys is a positive, of `own` (R, P), -1 where there is none, or equals one."""
    right = torch.zeros_like(near, dtype=torch.bool)
    for keys in own.unbind(1):
        there = keys >= 0
        cosine = torch.einsum("rkd,rd->rk", b[near], b[keys.clamp(min=0)])
        right |= there[:, None] & ((near == keys[:, None]) | (cosine > 1 - alike))
    return right
