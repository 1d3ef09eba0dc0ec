"""Decoupled contrastive learning: NT-Xent without the positive in the denominator."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from multimodal_lab.bounds import Positive
from multimodal_lab.loss.contrastive import nt_xent
from multimodal_lab.loss.streams import TextIds, mean_of, pair_ids

views = 2
samples = 2
below_zero = ("dcl",)


def dcl(
    z: Mapping[str, Tensor],
    ids: Tensor,
    present: Mapping[str, Tensor],
    temperature: Positive | Tensor,
    text_ids: TextIds = None,
) -> Tensor:
    """Mean over names of the decoupled contrastive loss (Yeh 2022, eq. 6): a scalar, which may be negative.

    Each row: -mean over its positives of cos/τ + log of the sum over its negatives of exp(cos/τ). z {name: (N, D)} of
    two views or more stacked along N, ids (N,), present {name: (N,) bool}. Rows without a positive or a negative are no
    anchors. text_ids: see `pair_ids`.
    """
    own = {name: pair_ids(ids, text_ids, name) for name in z}
    return mean_of(nt_xent(z[name], own[name], temperature, present[name], decoupled=True) for name in z)
