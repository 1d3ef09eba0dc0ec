"""Attention rollout: what an embedding has read of the input, through all layers of a transformer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from multimodal_lab.bounds import Fraction, Natural


@dataclass(frozen=True)
class Rollout:
    """How the layers of a tower are multiplied (Abnar & Zuidema 2020, section 3).

    layers: their numbers from 0, None for all. heads: how those of a layer become one, their "mean" (the paper), "max" or "min",
    or the number of one from 0. residual: the share of a token that its skip connection keeps, .5 in the paper.
    """

    layers: Sequence[Natural] | None = None
    heads: Literal["mean", "max", "min"] | Natural = "mean"
    residual: Fraction = 0.5

    def __post_init__(self) -> None:
        if self.layers is not None and not self.layers:
            raise ValueError("report.attention.layers is empty; expected numbers of layers, or null for all")

    def require(self, layers: int, heads: int, tower: str) -> None:
        """`ValueError` in one sentence for a layer or a head that a tower of so many does not have."""
        for i in self.layers or ():
            _require_one(i, layers, "layer", f"the tower of {tower}")
        if isinstance(self.heads, int):
            _require_one(self.heads, heads, "head", f"a layer of the tower of {tower}")

    def __call__(self, attention: Sequence[Tensor], tower: str = "attention") -> Tensor:
        """(N, heads, L, L) of each layer, the first first, to (N, L, L): row i, which sums to 1, is what token i has read."""
        self.require(len(attention), min(a.shape[1] for a in attention), tower)
        chosen = range(len(attention)) if self.layers is None else sorted({*self.layers})
        own = torch.eye(attention[0].shape[-1], device=attention[0].device).expand(len(attention[0]), -1, -1)
        found = own
        for i in chosen:
            mixed = (1 - self.residual) * self._one(attention[i].float()) + self.residual * own
            found = mixed / mixed.sum(-1, keepdim=True) @ found
        return found

    def _one(self, x: Tensor) -> Tensor:
        """The heads as one: (N, heads, L, L) to (N, L, L)."""
        if isinstance(self.heads, int):
            return x[:, self.heads]
        return {"mean": x.mean(1), "max": x.amax(1), "min": x.amin(1)}[self.heads]


def _require_one(number: int, count: int, what: str, where: str) -> None:
    if not 0 <= number < count:
        raise ValueError(
            f"report.attention.{what}s: no {what} {number} in {where}, which has {count}, 0 to {count - 1}; "
            f"nearest: {min(max(number, 0), count - 1)}"
        )
