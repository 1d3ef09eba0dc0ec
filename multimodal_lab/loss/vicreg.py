"""VICReg: invariance, variance and covariance terms on matched rows."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from multimodal_lab.bounds import NonNegative
from multimodal_lab.loss.precision import matmul
from multimodal_lab.loss.streams import mean_of
from multimodal_lab.loss.views import Aligned, Between, aligned, centred

samples = 2
weights = ("invariance", "variance", "covariance")
views = {"between": {"views": 2, "modalities": 1, "both": 2}}
pairs = {"between": {"views": False, "modalities": True, "both": True}}
leaves_out = {"between": {"modalities": ("fused",)}}


def vicreg(
    z: Mapping[str, Tensor],
    ids: Tensor,
    present: Mapping[str, Tensor],
    invariance: NonNegative,
    variance: NonNegative,
    covariance: NonNegative,
    between: Between = "views",
) -> Tensor:
    """Mean over matched pairs of `invariance`·s + `variance`·v + `covariance`·c (Bardes 2022, eq. 1-6): a scalar.

    Scaled as in the authors' code: s is the mean squared difference over rows and dimensions, v the mean of the two
    sides' hinges max(0, 1 - sqrt(var + 1e-4)), c the sum of the two sides' squared off-diagonal covariances over D. z
    {name: (N, D)}, not normalised; ids (N,); present {name: (N,) bool}. `between` names the pairs: the two views of
    each name, stacked along N (`ValueError` if they are not), the streams of each row (`modalities`), or both.
    Variance and covariance need two valid rows and are 0 below.
    """
    terms = [_terms(pair) for pair in aligned(z, ids, present, between, "vicreg")]
    return mean_of(invariance * s + variance * v + covariance * c for s, v, c in terms)


def _terms(pair: Aligned) -> tuple[Tensor, Tensor, Tensor]:
    count = pair.valid.sum()
    agree = (pair.x - pair.y).square().sum() / (count.clamp(min=1) * pair.x.shape[1])
    sides = [_spread(centred(x, pair.valid), count) for x in (pair.x, pair.y)]
    return agree, (sides[0][0] + sides[1][0]) / 2, sides[0][1] + sides[1][1]


def _spread(x: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    cov = matmul(x.T, x) / (count - 1).clamp(min=1)
    var = cov.diagonal()
    hinge = F.relu(1 - torch.sqrt(var + 1e-4)).mean()
    rest = (cov - torch.diag(var)).square().sum() / len(var)
    enough = count > 1
    return hinge * enough, rest * enough
