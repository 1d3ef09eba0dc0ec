"""Cross-modal SimCLR: between-stream and within-stream terms."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from multimodal_lab.bounds import NonNegative, Positive
from multimodal_lab.keyed import Terms
from multimodal_lab.loss.contrastive import info_nce
from multimodal_lab.loss.pair_weights import Hub, PairWeights
from multimodal_lab.loss.simclr import simclr
from multimodal_lab.loss.streams import TextIds, mean_over_pairs, pair_ids, stream_pairs

views = {"intra_weight": {0: 1, ...: 2}}
pairs = {"intra_weight": {0: True, ...: False}}
samples = 2
weights = ("cross_weight", "intra_weight")
terms = ("cross", "intra")
joins = {"cross_weight": {0: False, ...: True}}


def cross_modal(
    z: Mapping[str, Tensor],
    ids: Tensor,
    present: Mapping[str, Tensor],
    cross_weight: NonNegative,
    intra_weight: NonNegative,
    temperature: Positive | Tensor,
    hub: Hub = None,
    pair_weights: PairWeights = None,
    text_ids: TextIds = None,
) -> Terms:
    """`cross_weight` · mean over stream pairs of InfoNCE + `intra_weight` · mean over names of NT-Xent: a scalar.

    z {name: (N, D)}, ids (N,), present {name: (N,) bool}. `fused` has seen both sides of a pair, so it has an intra
    term only. The intra term needs two views (repeated ids): with one, no row has a positive and it is 0. The cross
    term needs two streams: with one it is 0, and what is left is weighted SimCLR. A row whose partner modality is
    missing is no anchor across, but still a negative. hub, pair_weights: which pairs, and how much (`weigh`). text_ids: see
    `pair_ids`. The terms `cross` and `intra` are logged apart.
    """
    parts = {"intra": simclr(z, ids, present, temperature, text_ids)}
    total = intra_weight * parts["intra"]
    if stream_pairs(z):

        def across(a: str, b: str) -> Tensor:
            own = pair_ids(ids, text_ids, a, b)
            return info_nce(z[a], z[b], own, own, temperature, present_a=present[a], present_b=present[b])

        parts["cross"] = mean_over_pairs(across, z, "cross_modal", hub, pair_weights)
        total = total + cross_weight * parts["cross"]
    return Terms(total, parts)
