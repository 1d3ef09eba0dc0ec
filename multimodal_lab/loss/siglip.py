"""SigLIP: each pair of rows is a yes-or-no question."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from multimodal_lab.bounds import Positive
from multimodal_lab.loss.contrastive import Pairs, Rows, compare, rows
from multimodal_lab.loss.names import FUSED, mean_of, required_pairs


def siglip(
    z: Mapping[str, Tensor],
    ids: Tensor,
    present: Mapping[str, Tensor],
    scale: Positive | Tensor,
    bias: float | Tensor,
) -> Tensor:
    """Mean over pairs of streams of the sigmoid loss (Zhai 2023, eq. 1): a scalar.

    -1/B · sum over i, j of log sigmoid(y_ij (scale · cos_ij + bias)), y = 1 where ids are equal and -1 elsewhere; B is
    the number of rows, where some are missing the mean of the two streams' present rows. z {name: (N, D)}, ids (N,),
    present {name: (N,) bool}; `fused` is left out. Published start: scale 10, bias -10, both learned. Fewer than two
    streams is a `ValueError`.
    """
    own = {name: rows(x, ids, present[name]) for name, x in z.items() if name != FUSED}
    return mean_of(_pair(own[a], own[b], scale, bias) for a, b in required_pairs(z, "siglip"))


def _pair(a: Rows, b: Rows, scale: float | Tensor, bias: float | Tensor) -> Tensor:
    pairs: Pairs = compare(a, b)
    logits = pairs.cosine * scale + bias
    lost = -F.logsigmoid(torch.where(pairs.positive, logits, -logits))
    count = (a.present.sum() + b.present.sum()) / 2
    return torch.where(pairs.positive | pairs.negative, lost, 0.0).sum() / count.clamp(min=1)
