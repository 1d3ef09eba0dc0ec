"""A hyperspectral CNN: attention over bands, then a convolutional network on few channels."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from multimodal_lab.backbone.convnet import grid_features, stage, staged
from multimodal_lab.backbone.freeze import freeze as freeze_module
from multimodal_lab.backbone.kind import require
from multimodal_lab.bounds import Count, require_relations
from multimodal_lab.types import Features, Stream


class BandAttention(nn.Module):
    """Weigh the bands by a gate of their own means, then mix them into few channels.

    Squeeze and excitation (Hu et al. 2018, eq. 2-4) over bands: s = sigmoid(W2 relu(W1 mean(x))), y = W (s * x), W a
    1x1 convolution. The gate is folded into W per sample, so that no second copy of the cube is made.
    """

    def __init__(self, bands: int, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = max(4, bands // reduction)
        self.gate = nn.Sequential(nn.Linear(bands, hidden), nn.ReLU(), nn.Linear(hidden, bands), nn.Sigmoid())
        self.mix = nn.Parameter(torch.randn(channels, bands) * 2 / math.sqrt(bands))  # 2: the gate starts at one half

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (N, C, H, W) to (N, channels, H, W) and the weight of each band, (N, C) in (0, 1)."""
        gate: Tensor = self.gate(x.mean((2, 3)))
        mixed = torch.bmm(self.mix * gate[:, None, :], x.flatten(2))
        return mixed.reshape(len(x), -1, *x.shape[2:]), gate


class Hyperspectral(nn.Module):
    """Band attention from all bands to `channels`, then strided 3x3 convolutions, one per width."""

    kinds = ("image",)
    steps = False
    grid = True
    relations: ClassVar = {"widths": "one or more"}

    def __init__(
        self,
        stream: Stream,
        *,
        widths: list[Count],
        channels: Count = 16,
        reduction: Count = 16,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        require(self, stream)
        require_relations("backbone=hyperspectral", self.relations, {"widths": widths})
        self.bands = BandAttention(stream.channels, channels, reduction)
        ins = [channels, *widths[:-1]]
        self.stages = nn.Sequential(*(stage(c, w, norm=i > 0) for i, (c, w) in enumerate(zip(ins, widths))))
        self.dim = widths[-1]
        self.levels, self.give_levels = tuple(ins), False
        if freeze:
            freeze_module(self)

    def forward(self, x: Tensor) -> Features:
        """x (N, C, H, W) to grid tokens, pooled, and `weights["bands"]` (N, C): the share let through."""
        mixed, gate = self.bands(x)
        features = staged(mixed, self.stages) if self.give_levels else grid_features(self.stages(mixed))
        features.weights = {"bands": gate.detach()}
        return features
