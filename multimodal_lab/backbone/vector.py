"""A multi-layer perceptron: the default backbone of `vector` streams."""

from __future__ import annotations

from torch import Tensor, nn

from multimodal_lab.backbone.freeze import freeze as freeze_module
from multimodal_lab.backbone.kind import require
from multimodal_lab.bounds import Count, Fraction
from multimodal_lab.types import Features, Stream


class Vector(nn.Module):
    """Linear, LayerNorm, GELU and dropout once per width; one token per sample.

    The first layer has no norm, so that the absolute level of the values is not divided away.
    """

    kinds = ("vector",)
    steps = False

    def __init__(self, stream: Stream, *, widths: list[Count], dropout: Fraction = 0.0, freeze: bool = False) -> None:
        super().__init__()
        require(self, stream)
        if not widths:
            raise ValueError("backbone.widths is empty; expected one width per layer, such as [128, 128]")
        layers: list[nn.Module] = []
        for i, (ins, outs) in enumerate(zip([stream.channels, *widths[:-1]], widths)):
            norm = nn.LayerNorm(outs) if i else nn.Identity()
            layers += [nn.Linear(ins, outs), norm, nn.GELU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers)
        self.dim = widths[-1]
        if freeze:
            freeze_module(self)

    def forward(self, x: Tensor) -> Features:
        """x (N, C) to one token (N, 1, D), pooled the same (N, D)."""
        return Features.from_vector(self.layers(x))
