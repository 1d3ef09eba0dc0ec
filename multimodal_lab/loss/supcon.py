"""SupCon: supervised contrastive loss, positives are the rows of one class."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from multimodal_lab.bounds import Positive
from multimodal_lab.loss.simclr import simclr

samples = 2


def supcon(
    z: Mapping[str, Tensor], ids: Tensor, present: Mapping[str, Tensor], temperature: Positive | Tensor
) -> Tensor:
    """Mean over names of the supervised contrastive loss (Khosla 2020, eq. 2): a scalar.

    z {name: (N, D)}; ids (N,) class index, -1 where the label is missing; present {name: (N,) bool}. A row without a
    label is left out altogether: as a negative it could be of the anchor's own class.
    """
    return simclr(z, ids, {name: present[name] & (ids >= 0) for name in z}, temperature)
