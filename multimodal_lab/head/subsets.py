"""Projections of what the fusion makes of each stream alone, and of all together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from multimodal_lab.bounds import Count
from multimodal_lab.head.projection import Mlp
from multimodal_lab.types import Batch, Features, alone


class Subsets(nn.Module):
    """One MLP on the fused vector of each stream alone and of all streams (CoMM, Dufumier et al. 2025).

    The system's own `fusion` is asked again with every other stream missing; so z of a stream lies in the space of the
    fused vector, which is what loss=comm aligns. Published: an MLP of three layers with batch norms; here of two.
    ValueError where the fusion gives no `fused`, or changes the streams that it would be asked about again.
    """

    takes = "all"
    by_name = True
    own_weights = False

    def __init__(
        self,
        dims: dict[str, int],
        fusion: nn.Module,
        *,
        dim: Count = 256,
        hidden: Count = 512,
        norm: Literal["none", "batch", "layer"] = "batch",
    ) -> None:
        super().__init__()
        if "fused" not in dims or "streams" in getattr(fusion, "acts_on", ()):
            name = type(fusion).__module__.rpartition(".")[2]
            raise ValueError(f"head=subsets: fusion={name} gives no fused vector of streams that stay as they are")
        self.fusion = fusion
        self.names = [name for name in dims if name != "fused"]
        self.mlp = Mlp(dims["fused"], hidden, dim, norm)

    def forward(self, features: Mapping[str, Features], batch: Batch) -> dict[str, Tensor]:
        """Features to {stream: (N, dim) of its fusion alone} and `fused`: (N, dim) of all."""
        fused = {name: self.fusion(alone(features, name))["fused"] for name in self.names}
        fused["fused"] = features["fused"]
        return {name: self.mlp(f.pooled, f.present) for name, f in fused.items()}
