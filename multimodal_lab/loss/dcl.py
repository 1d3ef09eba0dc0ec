"""Decoupled contrastive learning: NT-Xent without the positive in the denominator."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from multimodal_lab.bounds import Positive
from multimodal_lab.loss.contrastive import checked, compare, log_p, mean_positive, rows
from multimodal_lab.loss.exact import mean_where
from multimodal_lab.loss.names import mean_of


def dcl(z: Mapping[str, Tensor], ids: Tensor, present: Mapping[str, Tensor], temperature: Positive | Tensor) -> Tensor:
    """Mean over names of the decoupled contrastive loss (Yeh 2022, eq. 6): a scalar, which may be negative.

    Each row: -mean over its positives of cos/τ + log of the sum over its negatives of exp(cos/τ). z {name: (N, D)} of
    two views or more stacked along N, ids (N,), present {name: (N,) bool}. Rows without a positive or a negative are no
    anchors.
    """
    return mean_of(_one(z[name], ids, present[name], temperature) for name in z)


def _one(z: Tensor, ids: Tensor, present: Tensor, temperature: float | Tensor) -> Tensor:
    own = rows(z, ids, present)
    pairs = compare(own, own, exclude_self=True)
    # Both parts lack the same log-denominator of log p, which therefore cancels.
    logs = log_p(pairs.cosine / checked(temperature), pairs.positive | pairs.negative)
    against = logs.masked_fill(~pairs.negative, torch.finfo(logs.dtype).min).logsumexp(1)
    return mean_where(against - mean_positive(logs, pairs.positive), pairs.positive.any(1) & pairs.negative.any(1))
