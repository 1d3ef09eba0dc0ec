"""CLIP loss between streams."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from multimodal_lab.bounds import NonNegative, Positive, Share
from multimodal_lab.loss.contrastive import info_nce
from multimodal_lab.loss.pair_weights import Hub, PairWeights
from multimodal_lab.loss.streams import TextIds, mean_over_pairs, pair_ids

pairs = True
samples = 2
leaves_out = ("fused",)  # it has seen both sides of any pair


def clip(
    z: Mapping[str, Tensor],
    ids: Tensor,
    present: Mapping[str, Tensor],
    temperature: Positive | Tensor,
    hardness: NonNegative = 0.0,
    tau_plus: Share = 0.0,
    hub: Hub = None,
    pair_weights: PairWeights = None,
    text_ids: TextIds = None,
) -> Tensor:
    """Mean over pairs of streams of symmetric InfoNCE (Radford 2021, figure 3): a scalar.

    z {name: (N, D)}, ids (N,), present {name: (N,) bool}; `fused` is left out. Several rows of one id, such as captions of
    one image, are all positives (`info_nce`), and so are those of one text (text_ids: `pair_ids`). hardness and tau_plus above
    0 weigh the negatives: `hard_info_nce`. hub, pair_weights: `weigh`. Fewer than two streams is a `ValueError`. The published
    temperature is learned, 1/τ = exp(s) <= 100, from τ = 0.07: `schedule.LearnedScalar`.
    """

    def term(a: str, b: str) -> Tensor:
        own = pair_ids(ids, text_ids, a, b)
        if not hardness and not tau_plus:
            return info_nce(z[a], z[b], own, own, temperature, present_a=present[a], present_b=present[b])
        from multimodal_lab.loss.hard_negatives import hard_info_nce  # not loaded where it isn't asked for

        return hard_info_nce(z[a], z[b], own, present[a], present[b], temperature, hardness, tau_plus)

    return mean_over_pairs(term, z, "clip", hub, pair_weights)
