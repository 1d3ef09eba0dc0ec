"""CLIP loss between streams."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from multimodal_lab.bounds import Positive
from multimodal_lab.loss.contrastive import info_nce
from multimodal_lab.loss.streams import mean_of, required_pairs

pairs = True
samples = 2
leaves_out = ("fused",)  # it has seen both sides of any pair


def clip(z: Mapping[str, Tensor], ids: Tensor, present: Mapping[str, Tensor], temperature: Positive | Tensor) -> Tensor:
    """Mean over pairs of streams of symmetric InfoNCE (Radford 2021, figure 3): a scalar.

    z {name: (N, D)}, ids (N,), present {name: (N,) bool}; `fused` is left out. Fewer than two streams is a
    `ValueError`. The published temperature is learned, 1/τ = exp(s) <= 100, from τ = 0.07: `schedule.LearnedScalar`.
    """
    return mean_of(
        info_nce(z[a], z[b], ids, ids, temperature, present_a=present[a], present_b=present[b])
        for a, b in required_pairs(z, "clip")
    )
