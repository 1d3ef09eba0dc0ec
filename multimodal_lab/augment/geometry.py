"""Geometric ops: each draws one transform per sample, shared by every image stream and the mask.

Names, knobs and distributions are kornia's. Neighbouring ops are composed and resampled once (see `warp`), so a crop
followed by a rotation shows what lies beyond the crop where a chain of resamplings would show black corners.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from kornia.geometry.transform import get_perspective_transform
from torch import Tensor

from multimodal_lab.augment.draw import Draw, constant
from multimodal_lab.augment.op import Params, number, span
from multimodal_lab.augment.warp import Homography, Size, Spline, Step
from multimodal_lab.bounds import Fraction, NonNegative

Sampling = Literal["basic", "area_preserving"]
_CORNERS = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))
_STRAIGHT = ((0.0, 0.0),) * 6 + ((1.0, 0.0), (0.0, 1.0))  # a spline's weights that move nothing: five kernels, 1, x, y
_CENTRES = ((-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0), (0.0, 0.0))


class Geometric:
    """An op on places: `params` draws, `step` makes the map. `p` is per sample.

    `sizing` says whether the op keeps the size, may set it, or must. `leaves` says whether it may look outside the image.
    """

    sizing: ClassVar[Literal["keeps", "may", "must"]] = "keeps"
    leaves: ClassVar[bool] = True

    def __init__(self, p: float = 1.0) -> None:
        self.p = number(f"{type(self).__name__}: p", p, 0.0, 1.0)

    def on(self, draw: Draw) -> Tensor:
        """(N,) bool: the rows it acts on."""
        keys = draw.keys
        return torch.ones_like(keys, dtype=torch.bool) if self.p == 1 else draw.fold("p").uniform(1)[:, 0] < self.p

    def params(self, draw: Draw, canvas: Size) -> Params:
        """What is drawn for images of `canvas` (H, W), in pixels and degrees, by kornia's names."""
        return {}

    def step(self, on: Tensor, params: Params, canvas: Size, out: Size) -> Step:
        """The map from an output of size `out` to an input of size `canvas`, the identity where not `on`."""
        raise NotImplementedError


def _affine(rows: list[list[Tensor]], on: Tensor) -> Homography:
    """Two rows of three (N,) entries to a homography, the identity where not `on`."""
    full = torch.stack([torch.stack(row, -1) for row in rows], 1).double()
    return _where(on, torch.cat([full, constant(((0, 0, 1),), on.device).expand(len(on), 1, 3)], 1))


def _where(on: Tensor, matrix: Tensor, affine: bool = True) -> Homography:
    eye = constant(((1, 0, 0), (0, 1, 0), (0, 0, 1)), on.device)
    return Homography(torch.where(on[:, None, None], matrix, eye), affine)


class RandomResizedCrop(Geometric):
    """A box of random area (`scale`, of the image's) and aspect (`ratio`, width/height) stretched to the whole output.

    Kornia's draw: the first of ten that fits, else the largest box within `ratio`. Corners meet corners. Not acting
    means the whole image. Downsampling is not low-passed, as in kornia.
    """

    sizing = "may"
    leaves = False

    def __init__(
        self,
        *,
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        p: Fraction = 1.0,
    ) -> None:
        super().__init__(p)
        self.scale = span("RandomResizedCrop: scale", scale, 0.0, 1.0)
        self.ratio = span("RandomResizedCrop: ratio", ratio, 1e-3, 1e3)

    def params(self, draw: Draw, canvas: Size) -> Params:
        """xs, ys, widths, heights, (N,) whole pixels."""
        height, width = canvas
        area = draw.fold("area").between(*self.scale, 10).double() * (height * width)
        aspect = draw.fold("ratio").between(math.log(self.ratio[0]), math.log(self.ratio[1]), 10).double().exp()
        w, h = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
        fits = (w >= 1) & (w <= width) & (h >= 1) & (h <= height)
        # the place of the first of ten that fits; the last where none does, which `fallback` then replaces
        first = (fits.cumsum(1) == 0).sum(1, keepdim=True).clamp(max=9)
        fallback = (min(width, round(height * self.ratio[1])), min(height, round(width / self.ratio[0])))
        found = fits.any(1)
        w = torch.where(found, w.gather(1, first)[:, 0], float(max(1, fallback[0])))
        h = torch.where(found, h.gather(1, first)[:, 0], float(max(1, fallback[1])))
        place = draw.fold("place").uniform(2).double()
        xs, ys = (place[:, 0] * (width - w + 1)).floor(), (place[:, 1] * (height - h + 1)).floor()
        return {"xs": xs, "ys": ys, "widths": w, "heights": h}

    def step(self, on: Tensor, params: Params, canvas: Size, out: Size) -> Step:
        """The crop's map."""
        whole = {"xs": 0.0, "ys": 0.0, "widths": float(canvas[1]), "heights": float(canvas[0])}
        return _box({k: torch.where(on, params[k], v) for k, v in whole.items()}, canvas, out)


def _box(box: Params, canvas: Size, out: Size) -> Homography:
    """The map that sends the outer pixels of `out` to those of the box."""

    def axis(start: Tensor, length: Tensor, size: int, out: int) -> tuple[Tensor, Tensor]:
        pace = (length - 1) / max(out - 1, 1)
        return pace * out / size, (2 * start + pace * (out - 1) + 1) / size - 1

    x, across = axis(box["xs"], box["widths"], canvas[1], out[1])
    y, down = axis(box["ys"], box["heights"], canvas[0], out[0])
    zero, on = torch.zeros_like(x), torch.ones_like(x, dtype=torch.bool)
    return _affine([[x, zero, across], [zero, y, down]], on)


class Resize(Geometric):
    """The whole image stretched to the output's size, corners on corners; the aspect is not kept."""

    sizing = "must"
    leaves = False

    def __init__(self) -> None:
        super().__init__()

    def step(self, on: Tensor, params: Params, canvas: Size, out: Size) -> Step:
        """The stretch, equal for all rows."""
        zero = torch.zeros_like(on, dtype=torch.float64)
        return _box({"xs": zero, "ys": zero, "widths": zero + canvas[1], "heights": zero + canvas[0]}, canvas, out)


class ResizeAndPad(Geometric):
    """The long side resized to the output's size, the short side centred between blank pixels: the aspect is kept."""

    sizing = "must"

    def __init__(self) -> None:
        super().__init__()

    def step(self, on: Tensor, params: Params, canvas: Size, out: Size) -> Step:
        """The centred scaling, equal for all rows."""
        pace = max(canvas[0] / out[0], canvas[1] / out[1])
        zero = torch.zeros_like(on, dtype=torch.float64)
        x, y = zero + pace * out[1] / canvas[1], zero + pace * out[0] / canvas[0]
        return _affine([[x, zero, zero], [zero, y, zero]], torch.ones_like(on))


class _Mirrored(Geometric):
    """One axis reversed."""

    leaves = False
    matrix: ClassVar[tuple[tuple[int, int, int], ...]]

    def __init__(self, *, p: Fraction = 0.5) -> None:
        super().__init__(p)

    def step(self, on: Tensor, params: Params, canvas: Size, out: Size) -> Step:
        """The mirror."""
        return _where(on, constant(self.matrix, on.device))


class RandomHorizontalFlip(_Mirrored):
    """Left and right swapped."""

    matrix = ((-1, 0, 0), (0, 1, 0), (0, 0, 1))


class RandomVerticalFlip(_Mirrored):
    """Top and bottom swapped."""

    matrix = ((1, 0, 0), (0, -1, 0), (0, 0, 1))


class RandomRotation(Geometric):
    """Rotation about the centre by an angle uniform in [-degrees, degrees], anticlockwise where positive."""

    def __init__(self, *, degrees: NonNegative = 15.0, p: Fraction = 0.5) -> None:
        super().__init__(p)
        self.degrees = number("RandomRotation: degrees", degrees, 0.0, 360.0)

    def params(self, draw: Draw, canvas: Size) -> Params:
        """degrees (N,)."""
        return {"degrees": draw.between(-self.degrees, self.degrees, 1)[:, 0]}

    def step(self, on: Tensor, params: Params, canvas: Size, out: Size) -> Step:
        """The inverse rotation, in pixels that may not be square in the frame."""
        angle = torch.deg2rad(params["degrees"].double())
        cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        aspect = canvas[0] / canvas[1]
        return _affine([[cos, -sin * aspect, zero], [sin / aspect, cos, zero]], on)


class RandomPerspective(Geometric):
    """The corners moved by up to half of `distortion_scale` of each side: inwards, or ("area_preserving") any way."""

    def __init__(
        self, *, distortion_scale: Fraction = 0.5, sampling_method: Sampling = "basic", p: Fraction = 0.5
    ) -> None:
        super().__init__(p)
        self.distortion_scale = number("RandomPerspective: distortion_scale", distortion_scale, 0.0, 1.0)
        if sampling_method not in ("basic", "area_preserving"):
            raise ValueError(
                f"RandomPerspective: sampling_method is {sampling_method!r}, expected basic or area_preserving"
            )
        self.sampling_method = sampling_method

    def params(self, draw: Draw, canvas: Size) -> Params:
        """start_points and end_points, (N, 4, 2) pixels (x, y)."""
        corners = constant(_CORNERS, draw.keys.device)
        half = constant(((canvas[1] / 2, canvas[0] / 2),), draw.keys.device)
        drawn = draw.uniform(8).double().view(-1, 4, 2)
        move = -corners * drawn if self.sampling_method == "basic" else 2 * drawn - 1
        start = (corners + 1) * (half - 0.5)
        return {"start_points": start.expand_as(drawn), "end_points": start + self.distortion_scale * half * move}

    def step(self, on: Tensor, params: Params, canvas: Size, out: Size) -> Step:
        """The homography that brings the end points back to the start points."""
        size = constant(((canvas[1], canvas[0]),), on.device)
        start, end = ((2 * params[k] + 1) / size - 1 for k in ("start_points", "end_points"))
        return _where(on, get_perspective_transform(end, start), affine=False)


class RandomThinPlateSpline(Geometric):
    """The corners and the centre moved by up to `scale` (1 is half a side), the rest bent smoothly (Bookstein 1989)."""

    def __init__(self, *, scale: NonNegative = 0.2, p: Fraction = 0.5) -> None:
        super().__init__(p)
        self.scale = number("RandomThinPlateSpline: scale", scale, 0.0, 1.0)

    def params(self, draw: Draw, canvas: Size) -> Params:
        """src and dst, (N, 5, 2) in [-1, 1] frame units (x, y)."""
        src = constant(_CENTRES, draw.keys.device)
        noise = draw.between(-self.scale, self.scale, 10).double().view(-1, 5, 2)
        return {"src": src.expand_as(noise), "dst": src + noise}

    def step(self, on: Tensor, params: Params, canvas: Size, out: Size) -> Step:
        """Solve for the spline that takes `dst` to `src`, its kernels at `src` as kornia has them."""
        src, dst = params["src"], params["dst"]
        square = (dst[:, :, None] - src[:, None]).square().sum(-1)
        kernel = 0.5 * square * square.clamp_min(1e-30).log()
        flat = torch.cat([torch.ones_like(dst[..., :1]), dst], -1)
        zero = torch.zeros_like(flat[:, :3])
        system = torch.cat([torch.cat([kernel, flat], -1), torch.cat([flat.mT, zero], -1)], 1)
        # `solve` would look whether it succeeded, and wait for the device
        weights = torch.linalg.solve_ex(system, torch.cat([src, zero[..., :2]], 1))[0]
        return Spline(_CENTRES, torch.where(on[:, None, None], weights, constant(_STRAIGHT, on.device)))
