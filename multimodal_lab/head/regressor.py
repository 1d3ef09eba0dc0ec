"""Regression head: numbers in the label's own unit from one vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multimodal_lab.bounds import Count, Fraction
from multimodal_lab.head.classifier import layers
from multimodal_lab.head.names import reading
from multimodal_lab.text import expected_one_of
from multimodal_lab.types import Batch, Features

LEAST = 1e-6  # of a variance, in units of the training split's own


class Regressor(nn.Module):
    """Numbers (N, P) of `label` in its unit: mean + std * z, those of the training split, z learnt; P is 1 but for several.

    With `variance` (N, 2P): behind them the variance of each, in the unit's square, always positive (Nix & Weigend 1994).
    `numbers` {label: (mean, std), (P,) each} is a fact of the data; `input` null is fused where the fusion gives it, else the
    only stream. ValueError for a label that is no number, an unknown `input`, and for several streams without fused.
    """

    takes = "fused"
    by_name = False

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        dims: dict[str, int],
        numbers: dict[str, tuple[Tensor, Tensor]],
        *,
        label: str,
        variance: bool = False,
        kind: Literal["linear", "mlp"] = "linear",
        hidden: Count = 512,
        dropout: Fraction = 0.15,
        input: str | None = None,
    ) -> None:
        super().__init__()
        self.label, self.variance = label, variance
        self.input = reading("regressor", dims, input)
        if label not in numbers:
            raise ValueError(
                f"head=regressor: label={label} is no number of the data; {expected_one_of(label, numbers)}"
            )
        mean, std = numbers[label]
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.layers = layers(kind, dims[self.input], len(mean) * (2 if variance else 1), hidden, dropout)

    def forward(self, features: Mapping[str, Features], batch: Batch) -> Tensor:
        """Features to numbers (N, P), or (N, 2P) with their variances, in float32 or wider."""
        said = self.layers(features[self.input].pooled)
        said = said.to(torch.promote_types(said.dtype, torch.float32))
        value: Tensor = self.mean + self.std * said[:, : len(self.mean)]
        if not self.variance:
            return value
        spread = F.softplus(said[:, len(self.mean) :]) + LEAST
        return torch.cat([value, self.std.square() * spread], 1)
