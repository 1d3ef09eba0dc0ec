"""A transformer over time, for sensors of any number of channels."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from multimodal_lab.backbone.freeze import freeze as freeze_module
from multimodal_lab.backbone.kind import require
from multimodal_lab.backbone.masked import pooled, where_valid
from multimodal_lab.backbone.padding import some_key
from multimodal_lab.backbone.temporal import mask_of_groups
from multimodal_lab.backbone.text import Layer
from multimodal_lab.bounds import Count, Fraction, require_relations
from multimodal_lab.types import Features, Stream


class TemporalTransformer(nn.Module):
    """`patch` steps a token by one linear map, sinusoidal places, then transformer layers that see both ways.

    Patches as tokens: Nie et al. 2023 (PatchTST); all channels in one token, as Zerveas et al. 2021 have them. A place
    is a function of time (Vaswani et al. 2017, section 3.5), not a table of a fixed length, and a token without one
    measured step is seen by none: a recording that is padded longer gives the same features.
    """

    kinds = ("vector",)
    steps = True
    relations: ClassVar = {"width": "even", "heads": "divides width"}

    def __init__(
        self,
        stream: Stream,
        *,
        width: Count = 128,
        layers: Count = 2,
        heads: Count = 4,
        patch: Count = 4,
        dropout: Fraction = 0.1,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        require(self, stream)
        require_relations("backbone=temporal_transformer", self.relations, {"width": width, "heads": heads})
        self.dim, self.patch = width, patch
        self.embed = nn.Linear(stream.channels * patch, width)
        self.layers = nn.ModuleList(Layer(width, heads, dropout) for _ in range(layers))
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)
        if freeze:
            freeze_module(self)

    def forward(self, x: Tensor, valid: Tensor) -> Features:
        """x (N, C, T) and valid (N, T) bool to tokens (N, ceil(T / patch), D), zero where not real, and their mean."""
        mask = mask_of_groups(valid, self.patch)
        y = where_valid(x.transpose(1, 2), valid)
        y = nn.functional.pad(y, (0, 0, 0, mask.shape[1] * self.patch - y.shape[1]))
        tokens = self.embed(y.reshape(len(y), mask.shape[1], -1))
        tokens = self.dropout(tokens + places(mask.shape[1], self.dim, x.device).to(tokens.dtype))
        attend = some_key(mask)
        for layer in self.layers:
            tokens = layer(tokens, attend[:, None, None, :])
        tokens = where_valid(self.norm(tokens), mask)
        return Features(tokens, pooled(tokens, mask), mask)


def places(length: int, width: int, device: torch.device) -> Tensor:
    """(length, width): sine and cosine of each place at width / 2 wavelengths from 2 pi to 20,000 pi."""
    speed = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10000.0) / width))
    angle = torch.arange(length, device=device)[:, None] * speed
    return torch.stack([angle.sin(), angle.cos()], 2).flatten(1)
