"""Bilinear sampling of many-band images on the CPU: each output pixel is a weighted sum of four rows of bands."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

MANY = 64  # bands from which it surely beats grid_sample (scripts/bench/augment.py)


def gathered(x: Tensor, where: Tensor) -> Tensor:
    """Equivalent of `grid_sample` (bilinear, zeros outside, align_corners=False), channels last inside and out.

    x (N, C, H, W) float32; where (N, h, w, 2) in [-1, 1]. Returns (N, C, h, w) with the strides of channels-last, in which
    the bands of one pixel lie together: one read of C floats where `grid_sample` makes C reads of one.
    """
    n, c, height, width = x.shape
    where = where.nan_to_num(2.0, 2.0, -2.0)  # no place at all is outside
    column, row = (((where[..., i] + 1) * size - 1) / 2 for i, size in ((0, width), (1, height)))
    left, top = column.floor(), row.floor()
    index, weight = [], []
    for j, i in ((0, 0), (0, 1), (1, 0), (1, 1)):
        at_row, at_column = top + j, left + i
        inside = (at_row >= 0) & (at_row < height) & (at_column >= 0) & (at_column < width)
        share = (1 - (row - at_row).abs()) * (1 - (column - at_column).abs())
        place = at_row.clamp(0, height - 1) * width + at_column.clamp(0, width - 1)
        index.append(place.long())
        weight.append(torch.where(inside, share, 0.0))
    bags, weights = (torch.stack(four, -1).view(n, -1, 4) for four in (index, weight))
    table, out = x.new_empty(height * width, c), x.new_empty(n, bags.shape[1], c)
    for i, image in enumerate(x):  # one at a time: the table stays in the cache, and its memory is not asked for anew
        table.copy_(image.reshape(c, -1).T)
        out[i] = F.embedding_bag(bags[i], table, mode="sum", per_sample_weights=weights[i])
    return out.view(n, *where.shape[1:3], c).permute(0, 3, 1, 2)
