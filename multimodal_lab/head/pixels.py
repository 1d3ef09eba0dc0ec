"""Maps of features: tokens as a picture, and pictures at another size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multimodal_lab.types import Features


class Norm(nn.LayerNorm):
    """Layer norm of each place over its channels, (N, D, H, W): no place sees another."""

    def forward(self, x: Tensor) -> Tensor:
        """To the same shape."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


def places(features: Features, project: nn.Module, name: str) -> Tensor:
    """The tokens (N, k H' W', D), projected, as a picture (N, width, H', W'): of several grids the mean of what is real.

    `ValueError` for tokens that are no grid.
    """
    if features.grid is None:
        raise ValueError(
            f"head=segment reads a grid of places, and the {features.tokens.shape[1]} tokens of {name} are none: choose a "
            "backbone that gives one (convnet, a timm model whose features are a grid), head.input=STREAM, or fusion=attention"
        )
    height, width = features.grid
    x, mask = project(features.tokens), features.mask[..., None]
    shape = (len(x), -1, height, width)
    several: Tensor = torch.where(mask, x, x.new_zeros(())).reshape(*shape, x.shape[-1])
    real = mask.reshape(*shape, 1).sum(1).clamp(min=1)
    return (several.sum(1) / real).movedim(-1, 1)


def resized(x: Tensor, size: Sequence[int]) -> Tensor:
    """(N, D, h, w) to (N, D, H, W), bilinear; itself at its own size."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, (int(size[0]), int(size[1])), mode="bilinear", align_corners=False)
