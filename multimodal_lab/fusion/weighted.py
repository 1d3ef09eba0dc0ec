"""Gated (weighted) sum of the streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from multimodal_lab.bounds import Count
from multimodal_lab.fusion.features import presence, vector, with_fused
from multimodal_lab.types import Features


def gates_over(scores: Tensor, present: Tensor) -> Tensor:
    """Softmax of scores (N, M) over what is present (N, M) bool; rows sum to 1, or are 0 where nothing is present."""
    low = torch.finfo(scores.dtype).min
    return torch.where(present, scores.masked_fill(~present, low).softmax(1), scores.new_zeros(()))


class Weighted(nn.Module):
    """fused = Σ_i g_i · W_i p_i, the gates g a softmax over the streams that a row has.

    gate `global`: one learned score a stream, the same for every sample; `sample`: scores from a small network on the
    pooled vectors of the sample (Arevalo et al. 2017, gated multimodal unit, with a softmax in place of the sigmoid).
    `width` null is the widest stream's. `fused` has one token and shows its gates (N, M) in `weights["gates"]`.
    """

    emits = ("fused",)
    acts_on = ("fused",)

    def __init__(
        self,
        dims: dict[str, int],
        *,
        width: Count | None = None,
        gate: Literal["global", "sample"] = "global",
        hidden: Count = 64,
    ) -> None:
        super().__init__()
        self.names = list(dims)
        width = width or max(dims.values(), default=0)
        self.dims = with_fused(dims, width)
        self.project = nn.ModuleDict({name: nn.Linear(dim, width) for name, dim in dims.items()})
        self.scores: nn.Parameter | None = None
        self.gate: nn.Module | None = None
        if gate == "global":
            self.scores = nn.Parameter(torch.zeros(len(dims)))
        else:
            self.gate = nn.Sequential(nn.Linear(len(dims) * width, hidden), nn.ReLU(), nn.Linear(hidden, len(dims)))

    def forward(self, features: Mapping[str, Features]) -> dict[str, Features]:
        """{stream: Features} to the same and `fused`, pooled (N, width)."""
        present = presence(features, self.names)
        parts = torch.stack([self.project[n](features[n].pooled) for n in self.names], 1)
        parts = torch.where(present[..., None], parts, parts.new_zeros(()))
        gates = gates_over(self._scores(parts), present)
        fused = vector((gates[..., None] * parts).sum(1), present.any(1), {"gates": gates})
        return {**features, "fused": fused}

    def _scores(self, parts: Tensor) -> Tensor:
        """Scores (N, M), in fp32 or wider: half precision is too coarse for a softmax that is renormalised."""
        if self.gate is not None:
            scores: Tensor = self.gate(parts.flatten(1))
        else:
            assert self.scores is not None
            scores = self.scores.expand(len(parts), -1)
        return scores.to(torch.promote_types(scores.dtype, torch.float32))
