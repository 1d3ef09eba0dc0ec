"""Concatenation of the pooled vectors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from multimodal_lab.bounds import Count
from multimodal_lab.fusion.features import presence, vector, with_fused
from multimodal_lab.types import Features


class Concat(nn.Module):
    """fused = Linear([p_1; …; p_M]), or the plain concatenation where `width` is null (Ngiam et al. 2011).

    A missing stream is stood for by a learned vector of its own, so that "absent" is a state and not a zero. `fused`
    has one token (L = 1): streams differ in width before they are concatenated, so that their tokens have no common
    space.
    """

    emits = ("fused",)
    acts_on = ("fused",)

    def __init__(self, dims: dict[str, int], *, width: Count | None = None) -> None:
        super().__init__()
        total = sum(dims.values())
        self.names = list(dims)
        self.dims = with_fused(dims, width or total)
        self.absent = nn.ParameterDict({name: nn.Parameter(torch.randn(dim) * 0.02) for name, dim in dims.items()})
        self.project = nn.Linear(total, width) if width else nn.Identity()

    def forward(self, features: Mapping[str, Features]) -> dict[str, Features]:
        """{stream: Features} to the same and `fused`, pooled (N, width or the sum of widths)."""
        parts = [torch.where(features[n].present[:, None], features[n].pooled, self.absent[n]) for n in self.names]
        rows = presence(features, self.names).any(1)
        return {**features, "fused": vector(self.project(torch.cat(parts, 1)), rows)}
