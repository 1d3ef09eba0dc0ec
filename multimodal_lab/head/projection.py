"""Projection head g(·) of contrastive learning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from torch import Tensor, nn

from multimodal_lab.bounds import Count
from multimodal_lab.head.masked_norm import MaskedBatchNorm
from multimodal_lab.types import Batch, Features

Norm = Literal["none", "batch", "layer"]


class Mlp(nn.Module):
    """Linear, norm, ReLU, Linear, or one Linear when `hidden` is None. (N, D) and rows (N,) bool to (N, dim)."""

    def __init__(self, width: int, hidden: int | None, dim: int, norm: Norm) -> None:
        super().__init__()
        self.first = nn.Linear(width, hidden) if hidden else nn.Identity()
        self.batch = MaskedBatchNorm(hidden) if hidden and norm == "batch" else None
        self.layer = nn.LayerNorm(hidden) if hidden and norm == "layer" else nn.Identity()
        self.act = nn.ReLU() if hidden else nn.Identity()
        self.last = nn.Linear(hidden or width, dim)

    def forward(self, x: Tensor, rows: Tensor) -> Tensor:
        """`rows` are the present ones: only they make the statistics of a batch norm."""
        x = self.layer(self.first(x))
        x = x if self.batch is None else self.batch(x, rows)
        y: Tensor = self.last(self.act(x))
        return y


class Projection(nn.Module):
    """z = W2 ReLU(W1 h) per stream and for fused, not of unit length (Chen et al. 2020, SimCLR, sec. 2.1).

    `hidden` null is a single Linear. `shared` is one MLP for all names, at the width of the widest; a name of another
    width first passes a Linear of its own to it. `norm` stands before the ReLU; `batch` counts present rows only, over
    all ranks. ValueError for a norm without a hidden layer.
    """

    takes = "all"
    by_name = True
    own_weights: ClassVar = {"shared": {True: False, ...: True}}

    def __init__(
        self,
        dims: dict[str, int],
        *,
        dim: Count = 128,
        hidden: Count | None = 512,
        shared: bool = False,
        norm: Literal["none", "batch", "layer"] = "none",
    ) -> None:
        super().__init__()
        if hidden is None and norm != "none":
            raise ValueError(
                f"head=projection: norm={norm} stands in the hidden layer, and hidden is null; set hidden or norm=none"
            )
        self.names = list(dims)
        width = max(dims.values())
        self.shared = Mlp(width, hidden, dim, norm) if shared else None
        self.own = nn.ModuleDict() if shared else nn.ModuleDict({n: Mlp(d, hidden, dim, norm) for n, d in dims.items()})
        self.adapt = nn.ModuleDict({n: nn.Linear(d, width) for n, d in dims.items() if shared and d != width})

    def forward(self, features: Mapping[str, Features], batch: Batch) -> dict[str, Tensor]:
        """Features to {name: (N, dim)} for every stream and, where the fusion gives it, fused."""
        return {name: self._project(name, features[name]) for name in self.names}

    def _project(self, name: str, f: Features) -> Tensor:
        x = self.adapt[name](f.pooled) if name in self.adapt else f.pooled
        mlp = self.own[name] if self.shared is None else self.shared
        z: Tensor = mlp(x, f.present)
        return z
