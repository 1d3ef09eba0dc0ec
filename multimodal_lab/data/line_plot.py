"""Small line plots of recordings: their pictures in figures and in the explorer."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SIDE = 64  # pixels
DEVIATIONS = 3.0  # of a band about its mean, from the lower to the upper edge
COLOURS = (
    (1.0, 0.35, 0.3), (0.35, 0.9, 0.4), (0.4, 0.6, 1.0), (1.0, 0.85, 0.3), (0.3, 0.9, 0.95), (0.95, 0.5, 0.95),
)  # fmt: skip


def lines(z: Tensor) -> Tensor:
    """(N, C, T) deviations from the mean, NaN in gaps, to (N, 3, 64, 64) in 0 to 1: a line a band on black, time to the right.

    Of more bands than colours as many, evenly spaced. A pixel's column shows all that lies in its span of time.
    """
    z = z[:, torch.linspace(0, z.shape[1] - 1, min(len(COLOURS), z.shape[1])).round().long()]
    gap = z.isnan()
    high = F.adaptive_max_pool1d(z.masked_fill(gap, -torch.inf), SIDE)
    low = -F.adaptive_max_pool1d((-z).masked_fill(gap, -torch.inf), SIDE)
    there = high >= low
    joined = there[..., 1:] & there[..., :-1]  # a jump between two columns is drawn as an upright line
    before_low, before_high = low[..., :-1].clone(), high[..., :-1].clone()
    high[..., 1:] = torch.where(joined, torch.maximum(high[..., 1:], before_low), high[..., 1:])
    low[..., 1:] = torch.where(joined, torch.minimum(low[..., 1:], before_high), low[..., 1:])
    top, bottom = ((0.5 - v / (2 * DEVIATIONS)).mul(SIDE - 1).clamp(0, SIDE - 1).round() for v in (high, low))
    row = torch.arange(SIDE, device=z.device)[:, None]
    drawn = (row >= top[:, :, None]) & (row <= bottom[:, :, None]) & there[:, :, None]  # (N, C, 64, 64)
    colours = torch.tensor(COLOURS[: z.shape[1]], device=z.device)
    return (drawn[:, :, None] * colours[:, :, None, None]).amax(1)
