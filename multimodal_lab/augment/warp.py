"""Compose geometric steps into one map from output to input, and resample once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

Size = tuple[int, int]
Points = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Homography:
    """(N, 3, 3) float64, output to input, in `grid_sample`'s frame: -1 and 1 are the outer edges of the image.

    In that frame a map holds at every resolution, so streams of different sizes stay registered.
    """

    matrix: Tensor

    def then(self, outer: Homography) -> Homography:
        """First `outer`, then this one. Written out, as a batched product may round differently by batch size."""
        a, b = self.matrix, outer.matrix
        return Homography(a[:, :, 0:1] * b[:, 0:1] + a[:, :, 1:2] * b[:, 1:2] + a[:, :, 2:3] * b[:, 2:3])

    def __call__(self, points: Points) -> Points:
        """(N, h, w) x and y to the same."""
        m = self.matrix.float()[:, :, :, None, None]
        x, y = points
        scale = m[:, 2, 0] * x + m[:, 2, 1] * y + m[:, 2, 2]
        return (
            (m[:, 0, 0] * x + m[:, 0, 1] * y + m[:, 0, 2]) / scale,
            (m[:, 1, 0] * x + m[:, 1, 1] * y + m[:, 1, 2]) / scale,
        )


@dataclass(frozen=True)
class Spline:
    """A thin-plate spline (Bookstein 1989): f(v) = a0 + [ax ay] v + sum_j w_j U(|v - c_j|), U(r) = r^2 log r.

    centres (K, 2), shared by all rows; weights (N, K + 3, 2), the kernel's then the affine part's; `on` (N,) bool.
    """

    centres: tuple[tuple[float, float], ...]
    weights: Tensor
    on: Tensor

    def __call__(self, points: Points) -> Points:
        """(N or 1, h, w) x and y to (N, h, w)."""
        x, y = points
        w = self.weights.float()[:, :, :, None, None]
        k = len(self.centres)
        out = [w[:, k, i] + w[:, k + 1, i] * x + w[:, k + 2, i] * y for i in (0, 1)]
        for j, (cx, cy) in enumerate(self.centres):
            square = (x - cx) ** 2 + (y - cy) ** 2
            kernel = 0.5 * square * square.clamp_min(1e-30).log()
            out = [out[i] + w[:, j, i] * kernel for i in (0, 1)]
        on = self.on[:, None, None]
        return torch.where(on, out[0], x), torch.where(on, out[1], y)


Step = Homography | Spline


def grid(steps: Sequence[Step], size: Size, device: torch.device) -> Tensor:
    """(N, h, w, 2): where in the input each pixel of an output of `size` comes from; `steps` in the order they act."""
    h, w = size
    y = ((2 * torch.arange(h, device=device) + 1) / h - 1)[None, :, None].expand(1, h, w)
    x = ((2 * torch.arange(w, device=device) + 1) / w - 1)[None, None, :].expand(1, h, w)
    points, matrix = (x, y), None
    for step in reversed(steps):
        if isinstance(step, Homography):
            matrix = step if matrix is None else step.then(matrix)
            continue
        points = step(points if matrix is None else matrix(points))
        matrix = None
    return torch.stack(points if matrix is None else matrix(points), -1)


def sample(x: Tensor, where: Tensor, mode: str = "bilinear") -> Tensor:
    """(N, C, H, W) read at `where` (N, h, w, 2) to (N, C, h, w); zero outside."""
    return F.grid_sample(x, where, mode=mode, padding_mode="zeros", align_corners=False)
