"""Barlow Twins: the cross-correlation matrix of matched rows should be the identity."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from multimodal_lab.bounds import NonNegative
from multimodal_lab.loss.precision import matmul
from multimodal_lab.loss.streams import mean_of
from multimodal_lab.loss.views import Aligned, Between, aligned, centred

samples = 2
views = {"between": {"views": 2, "modalities": 1, "both": 2}}
pairs = {"between": {"views": False, "modalities": True, "both": True}}
leaves_out = {"between": {"modalities": ("fused",)}}


def barlow_twins(
    z: Mapping[str, Tensor],
    ids: Tensor,
    present: Mapping[str, Tensor],
    redundancy: NonNegative,
    between: Between = "views",
) -> Tensor:
    """Mean over matched pairs of sum_i (1 - C_ii)² + `redundancy` · sum_{i≠j} C_ij² (Zbontar 2021, eq. 1-2): a scalar.

    C (D, D) correlates the dimensions of both sides over the valid rows; each variance gets 1e-5 added, as in the
    authors' batch norm. z {name: (N, D)}, ids (N,), present {name: (N,) bool}; `between` as in `vicreg`, with the
    same errors. Fewer than two valid rows give 0.
    """
    return mean_of(_one(pair, redundancy) for pair in aligned(z, ids, present, between, "barlow_twins"))


def _one(pair: Aligned, redundancy: float) -> Tensor:
    count = pair.valid.sum().clamp(min=1)
    x, y = (_standard(centred(side, pair.valid), count) for side in (pair.x, pair.y))
    c = matmul(x.T, y) / count
    on = c.diagonal()
    off = c - torch.diag(on)
    return ((1 - on).square().sum() + redundancy * off.square().sum()) * (count > 1)


def _standard(x: Tensor, count: Tensor) -> Tensor:
    return x / torch.sqrt(x.square().sum(0) / count + 1e-5)
