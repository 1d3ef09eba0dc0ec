"""CoMM: the fused vector of one view agrees with that of the other view, whole and from each stream alone."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from multimodal_lab.bounds import NonNegative, Positive
from multimodal_lab.keyed import Terms
from multimodal_lab.loss.contrastive import nt_xent
from multimodal_lab.loss.streams import FUSED, mean_of
from multimodal_lab.loss.views import halves

views = 2
samples = 2
weights = ("fused_weight", "alone_weight")
terms = ("fused", "alone")
joins = True


def comm(
    z: Mapping[str, Tensor],
    ids: Tensor,
    present: Mapping[str, Tensor],
    fused_weight: NonNegative,
    alone_weight: NonNegative,
    temperature: Positive | Tensor,
) -> Terms:
    """(`fused_weight`·L + `alone_weight`·sum of L_i over the n streams) / (n + 1): a scalar (Dufumier et al. 2025).

    L is NT-Xent between the fused vectors of two views: with good augmentations a bound on all that both streams say,
    redundancy, uniqueness and synergy. L_i is NT-Xent between stream i alone in one view and `fused` in the other, the
    mean of both ways: a bound on redundancy and what is unique to i. With both weights 1 this is the authors' loss.

    z {name: (N, D)} of head=subsets: each stream alone through the fusion, and `fused`; ids (N,), views stacked along N
    (`ValueError` if they are not); present {name: (N,) bool}. A row without stream i is no anchor of L_i, but its fused
    vector stays a negative. The terms `fused` (L) and `alone` (the mean of L_i) are logged apart.
    """
    half = halves(ids, "loss comm")
    streams = [name for name in z if name != FUSED]
    whole, there = z[FUSED], present[FUSED]

    def across(name: str) -> Tensor:
        ways = []
        for one, other in ((slice(half), slice(half, None)), (slice(half, None), slice(half))):
            rows = torch.cat([z[name][one], whole[other]])
            ways.append(nt_xent(rows, ids, temperature, torch.cat([present[name][one], there[other]])))
        return mean_of(ways)

    parts = {"fused": nt_xent(whole, ids, temperature, there), "alone": mean_of(across(name) for name in streams)}
    total = fused_weight * parts["fused"] + alone_weight * len(streams) * parts["alone"]
    return Terms(total / (len(streams) + 1), parts)
