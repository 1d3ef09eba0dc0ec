"""Spectral ops along the bands, for images and vectors."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from multimodal_lab.augment.draw import Draw
from multimodal_lab.augment.op import Fill, Params, Photometric, filling, number, span
from multimodal_lab.bounds import Count, Fraction, NonNegative
from multimodal_lab.types import KindName, Stream


class RandomBandDropout(Photometric):
    """From one to `max_bands` bands, drawn anew for each sample, set to `fill` or their `mean`; the last is never dropped."""

    kinds: ClassVar[tuple[KindName, ...]] = ("image", "vector")

    def __init__(
        self, *, max_bands: Count = 1, fill: Fill = 0.0, p: Fraction = 0.1, streams: list[str] | None = None
    ) -> None:
        super().__init__(p, streams)
        self.max_bands = int(number("RandomBandDropout: max_bands", max_bands, 1))
        self.fill: Fill = fill

    def params(self, draw: Draw, shape: torch.Size, stream: Stream) -> Params:
        """dropped (N, C) bool."""
        bands = shape[1]
        rank = draw.fold("which").uniform(bands).argsort(stable=True).argsort(1)
        count = 1 + (draw.fold("count").uniform(1) * min(self.max_bands, bands - 1)).floor()
        return {"dropped": (rank < count) & (rank < bands - 1)}

    def apply(self, x: Tensor, params: Params, stream: Stream) -> Tensor:
        """Fill the dropped bands."""
        return torch.where(params["dropped"][:, :, None, None], filling(self.fill, stream, x), x)


class RandomSpectralShift(Photometric):
    """The spectrum slid along the bands by up to `max_shift` of them, linear between bands, the end bands repeated."""

    kinds: ClassVar[tuple[KindName, ...]] = ("image", "vector")

    def __init__(self, *, max_shift: NonNegative = 1.0, p: Fraction = 0.1, streams: list[str] | None = None) -> None:
        super().__init__(p, streams)
        self.max_shift = number("RandomSpectralShift: max_shift", max_shift)

    def params(self, draw: Draw, shape: torch.Size, stream: Stream) -> Params:
        """shift (N,) in bands: band c shows what was at c - shift."""
        return {"shift": draw.between(-self.max_shift, self.max_shift, 1)[:, 0]}

    def apply(self, x: Tensor, params: Params, stream: Stream) -> Tensor:
        """Interpolate between the two bands that c - shift falls between."""
        band = torch.arange(x.shape[1], device=x.device)
        place = (band - params["shift"][:, None]).clamp(0, x.shape[1] - 1)
        low = place.floor()
        part = (place - low)[:, :, None, None]
        row = torch.arange(len(x), device=x.device)[:, None]
        left = low.long()
        return x[row, left] * (1 - part) + x[row, (left + 1).clamp(max=x.shape[1] - 1)] * part


class RandomScale(Photometric):
    """Every band multiplied by one factor: a change of exposure or of path length."""

    kinds: ClassVar[tuple[KindName, ...]] = ("image", "vector")
    ranged: ClassVar[bool] = True

    def __init__(
        self, *, scale: tuple[float, float] = (0.9, 1.1), p: Fraction = 0.5, streams: list[str] | None = None
    ) -> None:
        super().__init__(p, streams)
        self.scale = span("RandomScale: scale", scale, 0.0)

    def params(self, draw: Draw, shape: torch.Size, stream: Stream) -> Params:
        """scale_factor (N,)."""
        return {"scale_factor": draw.between(*self.scale, 1)[:, 0]}

    def apply(self, x: Tensor, params: Params, stream: Stream) -> Tensor:
        """The product."""
        return x * params["scale_factor"][:, None, None, None]
