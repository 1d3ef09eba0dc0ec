"""A small convolutional network that trains in seconds on a CPU."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from multimodal_lab.backbone.freeze import freeze as freeze_module
from multimodal_lab.backbone.kind import require
from multimodal_lab.bounds import Count, require_relations
from multimodal_lab.types import Features, Stream

GROUP = 16  # channels that GroupNorm normalises together


def stage(channels: int, width: int, norm: bool = True) -> nn.Sequential:
    """A strided 3x3 convolution, GroupNorm and GELU: (N, channels, H, W) to (N, width, ceil(H/2), ceil(W/2)).

    GroupNorm looks at one row at a time, so that neither absent rows nor the rest of the batch leak into it.
    """
    conv = nn.Conv2d(channels, width, 3, stride=2, padding=1)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    groups = width // GROUP if width % GROUP == 0 else 1
    return nn.Sequential(conv, nn.GroupNorm(groups, width) if norm else nn.Identity(), nn.GELU())


def grid_features(grid: Tensor) -> Features:
    """(N, D, H, W) to Features: H*W tokens in row order; pooled is half their mean and half their maximum, per channel.

    The mean alone loses a mark of few pixels among many: the hue of a patch stays at chance where the maximum finds it.
    """
    tokens = grid.flatten(2).transpose(1, 2)
    height, width = grid.shape[-2:]
    return Features.from_tokens(tokens, (tokens.mean(1) + tokens.amax(1)) / 2, (height, width))


def staged(x: Tensor, stages: nn.Sequential) -> Features:
    """The features of the last stage, and as `levels` `x` itself and what every stage but the last gives."""
    levels = [x]
    for part in stages:
        levels.append(part(levels[-1]))
    return replace(grid_features(levels.pop()), levels=tuple(levels))


class ConvNet(nn.Module):
    """Strided 3x3 convolutions, one per width: 20 MFLOP for a 64x64 image of three bands at the default widths.

    Built with an image stream of any bands. The first stage has no norm: the absolute level of a band is a measurement
    (how much UV a patch reflects), and a norm right after the first convolution divides it away where an image has no
    background to compare with.
    """

    kinds = ("image",)
    steps = False
    grid = True
    relations: ClassVar = {"widths": "one or more"}

    def __init__(self, stream: Stream, *, widths: list[Count], freeze: bool = False) -> None:
        super().__init__()
        require(self, stream)
        require_relations("backbone=convnet", self.relations, {"widths": widths})
        ins = [stream.channels, *widths[:-1]]
        self.stages = nn.Sequential(*(stage(c, w, norm=i > 0) for i, (c, w) in enumerate(zip(ins, widths))))
        self.to(memory_format=torch.channels_last)
        self.dim = widths[-1]
        self.levels, self.give_levels = (stream.channels, *widths[:-1]), False  # the pixels are the finest map
        if freeze:
            freeze_module(self)

    def forward(self, x: Tensor) -> Features:
        """x (N, C, H, W) to tokens (N, H/2^n * W/2^n, D), n stages; pooled: see `grid_features`."""
        x = x.contiguous(memory_format=torch.channels_last)
        return staged(x, self.stages) if self.give_levels else grid_features(self.stages(x))
