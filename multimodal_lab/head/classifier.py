"""Classification head: class logits from one vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from multimodal_lab.bounds import Count, Fraction
from multimodal_lab.head.names import count, reading
from multimodal_lab.types import Batch, Features


def layers(kind: str, width: int, classes: int, hidden: int, dropout: float) -> nn.Sequential:
    """linear: LayerNorm, Dropout, Linear; mlp: LayerNorm, Linear, Dropout, ReLU, Linear. (N, width) to (N, classes)."""
    if kind == "linear":
        return nn.Sequential(nn.LayerNorm(width), nn.Dropout(dropout), nn.Linear(width, classes))
    return nn.Sequential(
        nn.LayerNorm(width), nn.Linear(width, hidden), nn.Dropout(dropout), nn.ReLU(), nn.Linear(hidden, classes)
    )


class Classifier(nn.Module):
    """Logits (N, K) for the classes (or tags) of `label`; never probabilities: cross_entropy and bce expect logits.

    `classes` {label: K} is a fact of the data. `input` null is fused where the fusion gives it, else the only stream.
    ValueError for an unknown `label` or `input`, and for several streams without fused.
    """

    takes = "fused"
    by_name = False

    def __init__(
        self,
        dims: dict[str, int],
        classes: dict[str, int],
        *,
        label: str,
        kind: Literal["linear", "mlp"] = "linear",
        hidden: Count = 512,
        dropout: Fraction = 0.15,
        input: str | None = None,
    ) -> None:
        super().__init__()
        self.input = reading("classifier", dims, input)
        self.layers = layers(kind, dims[self.input], count("classifier", classes, label), hidden, dropout)

    def forward(self, features: Mapping[str, Features], batch: Batch) -> Tensor:
        """Features to logits (N, K); a missing row gives what the layers give for zero."""
        logits: Tensor = self.layers(features[self.input].pooled)
        return logits
