"""SimCLR: NT-Xent between two views, for each name."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from multimodal_lab.bounds import Positive
from multimodal_lab.loss.contrastive import nt_xent
from multimodal_lab.loss.streams import TextIds, mean_of, pair_ids

views = 2
samples = 2


def simclr(
    z: Mapping[str, Tensor],
    ids: Tensor,
    present: Mapping[str, Tensor],
    temperature: Positive | Tensor,
    text_ids: TextIds = None,
) -> Tensor:
    """Mean over names of NT-Xent (Chen 2020, eq. 1): a scalar.

    z {name: (N, D)}, ids (N,), present {name: (N,) bool}. Needs two views or more (repeated ids): with one view no
    row has a positive and the value is 0. text_ids: see `pair_ids`.
    """
    return mean_of(nt_xent(z[name], pair_ids(ids, text_ids, name), temperature, present[name]) for name in z)
