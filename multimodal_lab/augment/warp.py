"""Compose geometric ops into one sampling grid and resample each image once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from multimodal_lab.augment.draw import tables
from multimodal_lab.augment.op import holds
from multimodal_lab.augment.warp_cpu import MANY, gathered

Size = tuple[int, int]
Points = tuple[Tensor, Tensor]
Centres = tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)  # equal is the same object: torch 2.11 would hash the tensors to compile a call
class Homography:
    """(N, 3, 3) float64, output to input, in `grid_sample`'s frame: -1 and 1 are the outer edges of the image.

    In that frame a map holds at every resolution, so streams of different sizes stay registered. `affine` says that the
    last row is 0 0 1.
    """

    matrix: Tensor
    affine: bool = True

    def then(self, outer: Homography) -> Homography:
        """First `outer`, then this one. Written out, as a batched product may round differently by batch size."""
        a, b = self.matrix, outer.matrix
        product = a[:, :, 0:1] * b[:, 0:1] + a[:, :, 1:2] * b[:, 1:2] + a[:, :, 2:3] * b[:, 2:3]
        return Homography(product, self.affine and outer.affine)

    def __call__(self, points: Points, out: Tensor, axes: Size | None = None) -> None:
        """x and y, (N or 1, h or 1, w or 1), to out (N, h, w, 2)."""
        # maps are composed in float64, where rounding does not add up, and applied in float32
        m = self.matrix.float()[:, :, :, None, None]
        x, y = points
        scale = None if self.affine else m[:, 2, 0] * x + (m[:, 2, 1] * y + m[:, 2, 2])
        for i in (0, 1):
            value = torch.add(m[:, i, 0] * x, m[:, i, 1] * y + m[:, i, 2], out=out[..., i])
            if scale is not None:
                value.div_(scale)


@dataclass(frozen=True, eq=False)  # equal is the same object: torch 2.11 would hash the tensors to compile a call
class Spline:
    """A thin-plate spline (Bookstein 1989): f(v) = a0 + [ax ay] v + sum_j w_j U(|v - c_j|), U(r) = r^2 log r.

    centres (K, 2), shared by all rows; weights (N, K + 3, 2), the kernel's then the affine part's.
    """

    centres: Centres
    weights: Tensor

    def __call__(self, points: Points, out: Tensor, axes: Size | None = None) -> None:
        """x and y to out (N, h, w, 2); where they are the plain axes of an image of size `axes`, U is not computed again."""
        x, y = points
        w = self.weights.float()[:, :, :, None, None]
        k = len(self.centres)
        u = kernels(self.centres, axes, x.device) if axes else [kernel(x, y, centre) for centre in self.centres]
        for i in (0, 1):
            torch.add(w[:, k + 1, i] * x, w[:, k + 2, i] * y + w[:, k, i], out=out[..., i])
            for j in range(k):
                out[..., i].addcmul_(w[:, j, i], u[j])


def kernel(x: Tensor, y: Tensor, centre: tuple[float, float]) -> Tensor:
    """U(r) = r^2 log r of the distance to one centre."""
    square = (x - centre[0]) ** 2 + (y - centre[1]) ** 2
    # at a centre r is 0, and 0 times log 0 would be NaN
    return square.clamp_min(1e-30).log_().mul_(square).mul_(0.5)


@tables(16)
def kernels(centres: Centres, size: Size, device: torch.device) -> Tensor:
    """U around each centre at each pixel of an image, (K, 1, h, w): the spline's basis, the same for every batch."""
    x, y = plain(size, device)
    return torch.stack([kernel(x, y, centre) for centre in centres])


@tables(64)
def axis(length: int, device: torch.device) -> Tensor:
    """The middles of `length` pixels, the image's outer edges at -1 and 1."""
    return (2 * torch.arange(length, device=device) + 1) / length - 1


def plain(size: Size, device: torch.device) -> Points:
    """The x (1, 1, w) and y (1, h, 1) of the pixels of an image of `size`."""
    return axis(size[1], device)[None, None, :], axis(size[0], device)[None, :, None]


Step = Homography | Spline


def grid(steps: Sequence[Step], size: Size, device: torch.device) -> Tensor:
    """(N, h, w, 2): where in the input each pixel of an output of `size` comes from; `steps` in the order they act."""
    points = plain(size, device)
    axes: Size | None = size
    for step in composed(steps):
        rows = len(step.matrix if isinstance(step, Homography) else step.weights)
        out = torch.empty(2, rows, *size, device=device).permute(
            1, 2, 3, 0
        )  # x and y in planes: quicker to make and read
        step(points, out, axes)
        points, axes = (out[..., 0], out[..., 1]), None
    return out


def composed(steps: Sequence[Step]) -> list[Step]:
    """The maps from output to input, last step first, each run of homographies as one."""
    maps: list[Step] = []
    for step in reversed(steps):
        if maps and isinstance(step, Homography) and isinstance(maps[-1], Homography):
            maps[-1] = step.then(maps[-1])
        else:
            maps.append(step)
    return maps


def sample(x: Tensor, where: Tensor, mode: str = "bilinear", fill: Tensor | None = None) -> Tensor:
    """(N, C, H, W) read at `where` (N, h, w, 2) to (N, C, h, w); outside it is `fill` (1, C, 1, 1), zero by default."""
    if fill is not None:
        return sample(x - fill, where, mode).add_(fill)
    if mode == "bilinear" and x.shape[1] >= MANY and holds(x) and x.dtype == torch.float32:
        return gathered(x, where)
    return F.grid_sample(x, where, mode=mode, padding_mode="zeros", align_corners=False)
