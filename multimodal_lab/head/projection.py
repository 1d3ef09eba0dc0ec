"""Projection head g(·) of contrastive learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from torch import Tensor, nn

from multimodal_lab.bounds import Count, Fraction
from multimodal_lab.head.masked_norm import MaskedBatchNorm
from multimodal_lab.text import expected_one_of
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
    all ranks. `unprojected` names pass as they are, as a locked tower of LiT does (Zhai et al. 2022) and towers that have
    projections of their own; they have one width, which `dim` auto stands for. `dropout` is of what comes in (Srivastava et
    al. 2014): of the features of frozen towers few pairs are learnt by heart. ValueError for a norm without a hidden layer.
    """

    takes = "all"
    by_name = True
    own_weights: ClassVar = {"shared": {True: False, ...: True}}

    def __init__(
        self,
        dims: dict[str, int],
        *,
        dim: Count | Literal["auto"] = 128,
        hidden: Count | None = 512,
        shared: bool = False,
        norm: Literal["none", "batch", "layer"] = "none",
        dropout: Fraction = 0.0,
        unprojected: Sequence[str] = (),
    ) -> None:
        super().__init__()
        if hidden is None and norm != "none":
            raise ValueError(
                f"head=projection: norm={norm} stands in the hidden layer, and hidden is null; set hidden or norm=none"
            )
        self.names, self.unprojected = list(dims), frozenset(unprojected)
        dim = _common_width(dims, dim, unprojected)
        dims = {n: d for n, d in dims.items() if n not in self.unprojected}
        width = max(dims.values(), default=0)
        self.dropout = nn.Dropout(dropout)
        self.shared = Mlp(width, hidden, dim, norm) if shared and dims else None
        self.own = nn.ModuleDict() if shared else nn.ModuleDict({n: Mlp(d, hidden, dim, norm) for n, d in dims.items()})
        self.adapt = nn.ModuleDict({n: nn.Linear(d, width) for n, d in dims.items() if shared and d != width})

    def forward(self, features: Mapping[str, Features], batch: Batch) -> dict[str, Tensor]:
        """Features to {name: (N, dim)} for every stream and, where the fusion gives it, fused."""
        return {name: self._project(name, features[name]) for name in self.names}

    def _project(self, name: str, f: Features) -> Tensor:
        if name in self.unprojected:
            return f.pooled
        x = self.dropout(f.pooled)
        x = self.adapt[name](x) if name in self.adapt else x
        mlp = self.own[name] if self.shared is None else self.shared
        z: Tensor = mlp(x, f.present)
        return z


def _common_width(dims: Mapping[str, int], dim: int | str, unprojected: Sequence[str]) -> int:
    """The width of the output, which is that of what passes as it is; `ValueError` where these are not of one."""
    for name in unprojected:
        if name not in dims:
            raise ValueError(f"head.unprojected: no stream {name!r}; {expected_one_of(name, list(dims))}")
    widths = {name: dims[name] for name in unprojected} | ({"dim": dim} if isinstance(dim, int) else {})
    if not widths:
        raise ValueError(
            "head.dim=auto is the width of what is unprojected, and head.unprojected is empty; give a number"
        )
    if len({*widths.values()}) > 1:
        found = ", ".join(f"{name} {width}" for name, width in widths.items())
        raise ValueError(f"head.unprojected: what passes as it is must have the width of the rest, found {found}")
    return next(iter(widths.values()))
