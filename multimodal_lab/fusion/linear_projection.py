"""Linear projection of every stream to one width, then a sum."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from multimodal_lab.bounds import Count
from multimodal_lab.fusion.features import presence, vector, with_fused
from multimodal_lab.types import Features


class LinearProjection(nn.Module):
    """fused = Σ_i (W_i p_i + b_i) over the streams that a row has: a sum, not a mean and not a concatenation.

    `width` null is the widest stream's. `fused` has one token. A missing stream adds nothing, not even its bias.
    """

    emits = ("fused",)
    acts_on = ("fused",)

    def __init__(self, dims: dict[str, int], *, width: Count | None = None) -> None:
        super().__init__()
        self.names = list(dims)
        width = width or max(dims.values(), default=0)
        self.dims = with_fused(dims, width)
        self.project = nn.ModuleDict({name: nn.Linear(dim, width) for name, dim in dims.items()})

    def forward(self, features: Mapping[str, Features]) -> dict[str, Features]:
        """{stream: Features} to the same and `fused`, pooled (N, width)."""
        present = presence(features, self.names)
        parts = torch.stack([self.project[n](features[n].pooled) for n in self.names], 1)
        total = torch.where(present[..., None], parts, parts.new_zeros(())).sum(1)
        return {**features, "fused": vector(total, present.any(1))}
