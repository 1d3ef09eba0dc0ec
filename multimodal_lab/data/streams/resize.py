"""Resize images to one square size where the config asks for it."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.measured import NodataRule, both, measured

Rule = Literal["area", "none"]
Fit = Literal["pad", "stretch"]


class Resize:
    """To (size, size): `area` averages (antialiased) where it shrinks, interpolates where it grows; `none` only checks.

    `mode="pad"` keeps the shape of a non-square image and puts blank pixels around it, `mode="stretch"` doesn't.
    `size=None` leaves images as they are; they must be square then.
    """

    def __init__(self, size: int | None, rule: Rule, mode: Fit) -> None:
        self.size, self.rule, self.fit = size, rule, mode

    def sized(
        self, x: np.ndarray, mask: np.ndarray | None, keep: bool, missing: NodataRule
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """(C, H, W), NaN where nothing was measured, at the size that networks see; and (size, size) bool, None: everywhere.

        That one is True where a pixel is seen: measured, in the frame and, unless `keep`, inside `mask`. Averages are of
        seen pixels alone. Where a pixel is seen all the same (`missing=all`), a band without a value stays NaN.
        """
        known = measured(x, missing)
        seen = known if keep else both(mask, known)
        if self._keeps(x.shape[1:]):
            return x, seen
        if seen is None and self.fit == "pad" and x.shape[1] != x.shape[2]:
            return self.image(x, None), self.mask(np.ones(x.shape[1:], dtype=bool))
        bands = None if known is None or missing == "any" else ~np.isnan(x)
        small = None if seen is None else self.small(seen)
        x = self.image(x, seen if bands is None else bands & seen)
        if bands is not None:
            x = np.where(self._nearest(bands), x, np.float32(np.nan))
        return x, small

    def small(self, mask: np.ndarray) -> np.ndarray:
        """`mask`; one of which nothing is left is a `DataError`."""
        small = self.mask(mask)
        if not small.any():
            raise DataError(f"nothing is left of its mask ({mask.sum()} pixels) at data.size {self.size}")
        return small

    def image(self, x: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        """(C, H, W) to (C, size, size) float32; what lies outside `mask`, (H, W) or (C, H, W), has no part in the averages."""
        if self._keeps(x.shape[1:]):
            return x
        if mask is None:
            return self._fitted(torch.from_numpy(np.ascontiguousarray(x)), soft=True).numpy()
        weight = torch.from_numpy(mask.astype(np.float32)).view(-1, *mask.shape[-2:])
        inside = torch.from_numpy(np.ascontiguousarray(np.where(mask, x, np.float32(0))))
        share = self._fitted(weight, soft=True)
        return (self._fitted(inside, soft=True) / share.clamp_min(1e-6)).numpy()

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """(H, W) to (size, size) bool, nearest neighbour."""
        return mask if self._keeps(mask.shape) else self._nearest(mask[None])[0]

    def require(self, shape: tuple[int, ...]) -> None:
        """`DataError` for a (height, width) that can't become the wanted size."""
        self._keeps(shape)

    def _keeps(self, shape: tuple[int, ...]) -> bool:
        height, width = shape
        wanted = self.size or height
        if height == width == wanted:
            return True
        if self.size is None:
            raise DataError(
                f"{height} x {width} pixels is not square; set data.size, and data.resize_mode to pad or stretch"
            )
        if self.rule == "none":
            raise DataError(f"{height} x {width} pixels, expected data.size {wanted}; data.resize=area would resize it")
        return False

    def _nearest(self, mask: np.ndarray) -> np.ndarray:
        return np.asarray(self._fitted(torch.from_numpy(mask.astype(np.float32)), soft=False).numpy() > 0.5)

    def _fitted(self, x: Tensor, soft: bool) -> Tensor:
        side = int(self.size or 0)
        height, width = x.shape[1:]
        high, wide = side, side
        if self.fit == "pad":
            scale = side / max(height, width)
            high, wide = max(1, round(height * scale)), max(1, round(width * scale))
        if soft:
            y = F.interpolate(x[None], (high, wide), mode="bilinear", antialias=True, align_corners=False)[0]
        else:
            y = F.interpolate(x[None], (high, wide), mode="nearest-exact")[0]
        top, left = (side - high) // 2, (side - wide) // 2
        return F.pad(y, (left, side - wide - left, top, side - high - top))
