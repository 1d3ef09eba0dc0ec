"""Blur, sharpness, erasing and noise ops, without clamping."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from kornia.filters import get_gaussian_kernel1d
from torch import Tensor
from torch.nn import functional as F

from multimodal_lab.augment.draw import Draw
from multimodal_lab.augment.op import Fill, Params, Photometric, filling, number, span
from multimodal_lab.bounds import Count, Fraction, NonNegative, require_relations
from multimodal_lab.types import KindName, Stream


class RandomGaussianBlur(Photometric):
    """A Gaussian of `sigma` pixels, drawn per sample, on `kernel_size` taps each way; `border_type` pads the edges."""

    relations: ClassVar = {"kernel_size": "odd"}

    def __init__(
        self,
        *,
        kernel_size: Count = 3,
        sigma: tuple[float, float] = (0.1, 2.0),
        border_type: Literal["reflect", "replicate", "constant", "circular"] = "reflect",
        p: Fraction = 0.5,
        streams: list[str] | None = None,
    ) -> None:
        super().__init__(p, streams)
        require_relations("RandomGaussianBlur", self.relations, {"kernel_size": kernel_size})
        if border_type not in ("reflect", "replicate", "constant", "circular"):
            raise ValueError(
                f"RandomGaussianBlur: border_type is {border_type!r}, expected reflect, replicate, constant or circular"
            )
        self.kernel_size = kernel_size
        self.sigma = span("RandomGaussianBlur: sigma", sigma, 1e-3)
        self.border_type = border_type

    def params(self, draw: Draw, shape: torch.Size, stream: Stream) -> Params:
        """sigma (N,)."""
        return {"sigma": draw.between(*self.sigma, 1)[:, 0]}

    def apply(self, x: Tensor, params: Params, stream: Stream) -> Tensor:
        """Two passes of shifted sums, on the CPU quicker than a grouped convolution."""
        radius = self.kernel_size // 2
        if self.border_type in ("reflect", "circular") and min(x.shape[-2:]) <= radius:
            raise ValueError(
                f"random_gaussian_blur: stream {stream.name} is {x.shape[-2]}x{x.shape[-1]} pixels, expected more than "
                f"{radius} for kernel_size {self.kernel_size} with border_type {self.border_type}"
            )
        taps = get_gaussian_kernel1d(self.kernel_size, params["sigma"][:, None])[:, :, None, None, None]
        for axis, pad in ((-1, (radius, radius, 0, 0)), (-2, (0, 0, radius, radius))):
            size, padded = x.shape[axis], F.pad(x, pad, mode=self.border_type)
            x = padded.narrow(axis, 0, size) * taps[:, 0]
            for i in range(1, self.kernel_size):
                x += padded.narrow(axis, i, size) * taps[:, i]
        return x


class RandomSharpness(Photometric):
    """A blend of the image with its 3 x 3 smoothing, the factor uniform in [0, sharpness].

    Below 1 it blurs, above 1 it sharpens. The outermost pixels stay as they are, as in PIL and kornia.
    """

    def __init__(self, *, sharpness: NonNegative = 0.5, p: Fraction = 0.5, streams: list[str] | None = None) -> None:
        super().__init__(p, streams)
        self.sharpness = number("RandomSharpness: sharpness", sharpness)

    def params(self, draw: Draw, shape: torch.Size, stream: Stream) -> Params:
        """sharpness (N,)."""
        return {"sharpness": draw.between(0.0, self.sharpness, 1)[:, 0]}

    def apply(self, x: Tensor, params: Params, stream: Stream) -> Tensor:
        """smooth + factor (x - smooth), the kernel [1 1 1; 1 5 1; 1 1 1] / 13."""
        if min(x.shape[-2:]) < 3:
            raise ValueError(
                f"random_sharpness: stream {stream.name} is {x.shape[-2]}x{x.shape[-1]} pixels, expected at least 3x3"
            )
        wide = x[..., :-2] + x[..., 1:-1] + x[..., 2:]
        inner = x[..., 1:-1, 1:-1]
        smooth = (wide[..., :-2, :] + wide[..., 1:-1, :] + wide[..., 2:, :] + 4 * inner) / 13
        out = x.clone()
        out[..., 1:-1, 1:-1] = smooth + params["sharpness"][:, None, None, None] * (inner - smooth)
        return out


class RandomErasing(Photometric):
    """A rectangle of random area (`scale`, of the image's) and aspect (`ratio`, height/width) filled with `value`, or the `mean`.

    Zhong et al. 2020, drawn as kornia does: where `ratio` has 1 inside it, a fair coin picks the side. Each stream has
    its own.
    """

    def __init__(
        self,
        *,
        scale: tuple[float, float] = (0.02, 0.33),
        ratio: tuple[float, float] = (0.3, 3.3),
        value: Fill = 0.0,
        p: Fraction = 0.5,
        streams: list[str] | None = None,
    ) -> None:
        super().__init__(p, streams)
        self.scale = span("RandomErasing: scale", scale, 0.0, 1.0)
        self.ratio = span("RandomErasing: ratio", ratio, 1e-3, 1e3)
        self.value: Fill = value

    def params(self, draw: Draw, shape: torch.Size, stream: Stream) -> Params:
        """xs, ys, widths, heights, values, (N,); the first four whole pixels; values are not read where that is the mean."""
        height, width = shape[-2:]
        value = 0.0 if self.value == "mean" else float(self.value)
        u = draw.uniform(5)
        low, high = self.ratio
        if low < 1 < high:
            aspect = torch.where(u[:, 4] < 0.5, 1 + (high - 1) * u[:, 1], low + (1 - low) * u[:, 1])
        else:
            aspect = low + (high - low) * u[:, 1]
        area = (self.scale[0] + (self.scale[1] - self.scale[0]) * u[:, 0]) * (height * width)
        h = (area * aspect).sqrt().round().clamp(1, height)
        w = (area / aspect).sqrt().round().clamp(1, width)
        xs, ys = (u[:, 2] * (width - w + 1)).floor(), (u[:, 3] * (height - h + 1)).floor()
        return {"xs": xs, "ys": ys, "widths": w, "heights": h, "values": torch.full_like(xs, value)}

    def apply(self, x: Tensor, params: Params, stream: Stream) -> Tensor:
        """Fill the rectangle."""
        xs, ys, w, h, values = (params[k][:, None, None, None] for k in ("xs", "ys", "widths", "heights", "values"))
        row = torch.arange(x.shape[-2], device=x.device)[:, None]
        column = torch.arange(x.shape[-1], device=x.device)
        inside = (row >= ys) & (row < ys + h) & (column >= xs) & (column < xs + w)
        return torch.where(inside, filling("mean", stream, x) if self.value == "mean" else values, x)


class RandomGaussianNoise(Photometric):
    """Independent normal noise added to every value, of images and of vectors."""

    kinds: ClassVar[tuple[KindName, ...]] = ("image", "vector")
    ranged: ClassVar[bool] = True
    frames: ClassVar[Literal["alike", "apart"]] = "apart"

    def __init__(
        self, *, mean: float = 0.0, std: NonNegative = 0.1, p: Fraction = 0.5, streams: list[str] | None = None
    ) -> None:
        super().__init__(p, streams)
        self.mean = float(mean)
        self.std = number("RandomGaussianNoise: std", std)

    def params(self, draw: Draw, shape: torch.Size, stream: Stream) -> Params:
        """gaussian_noise (N, C, H, W)."""
        return {"gaussian_noise": draw.normal(shape[1:].numel()).mul_(self.std).add_(self.mean).view(-1, *shape[1:])}

    def apply(self, x: Tensor, params: Params, stream: Stream) -> Tensor:
        """The sum."""
        return x + params["gaussian_noise"]
