"""Resize images to one square size where the config asks for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.scaled_size import scaled_size

Rule = Literal["area", "bicubic", "none"]
Fit = Literal["pad", "stretch", "crop", "crop_floor"]
Mode = Literal["area", "bicubic", "nearest"]
WHOLE = ("AVX2", "AVX512")  # processors on which bilinear of uint8 is uint8


class Resize:
    """To (size, size), by `rule`; None leaves images as they are, which must be square then.

    `area` averages where it shrinks and interpolates where it grows (antialiased bilinear, PIL's BILINEAR); `bicubic` is
    PIL's BICUBIC, antialiased; `none` only checks. `fit="pad"` keeps the shape of a non-square image and puts blank pixels
    around it, "stretch" doesn't, and "crop" takes the centre of it: the shorter side goes to floor(size / crop_pct), then the
    middle size x size is cut out, as timm's and torchvision's Resize and CenterCrop do ("crop_floor": half of what
    is cut off is rounded down, as transformers' image processors do). stored: the whole numbers of 8 bits that are stored are
    resized, and rounded, before they are scaled, as torchvision does with images of uint8: see `whole`.
    """

    def __init__(
        self,
        size: int | None,
        rule: Rule,
        fit: Fit,
        crop_pct: float = 1.0,
        key: str = "data.size",
        stored: bool = False,
    ) -> None:
        self.size, self.rule, self.fit, self.crop_pct, self.stored = size, rule, fit, crop_pct, stored
        self.key = key  # for messages: where the size is set
        if crop_pct != 1 and (not fit.startswith("crop") or rule == "none"):
            raise DataError(
                f"{key.replace('size', 'crop_pct')}={crop_pct:g} goes with resize_mode=crop and a resize of area or bicubic, "
                f"found resize_mode={fit} and resize={rule}"
            )

    def of(self, stream: str, own: Mapping[str, Any]) -> Resize:
        """This one, but for the keys that a stream has of its own, by their names in a modality."""
        if not own:
            return self
        if own.get("resize") == "backbone":
            words = "no backbone has told how here; give size, resize and resize_mode"
            raise DataError(f"modality.{stream}.resize=backbone: {words}")
        facts = {key: own.get(key, value) for key, value in self.keys().items()}
        key = f"modality.{stream}.size" if "size" in own else self.key
        return Resize(
            facts["size"],
            facts["resize"],
            facts["resize_mode"],
            facts["crop_pct"],
            key,
            own.get("resize_stored", False),
        )

    def keys(self) -> dict[str, Any]:
        """Its choices by the keys of `data` and of a modality."""
        return {"size": self.size, "resize": self.rule, "resize_mode": self.fit, "crop_pct": self.crop_pct}

    def facts(self) -> dict[str, Any]:
        """Its choices for a record; a `crop_pct` of 1, which runs of earlier versions all had, is left out."""
        own = {"size": self.size, "rule": self.rule, "fit": self.fit}
        return own if self.crop_pct == 1 else {**own, "crop_pct": self.crop_pct}

    def whole(self, x: np.ndarray) -> np.ndarray:
        """(C, H, W) uint8 to (C, size, size) uint8, each pass rounded, as torchvision and transformers' image processors do.

        `DataError` for other numbers.
        """
        if x.dtype != np.uint8:
            raise DataError(
                f"{self.key.replace('size', 'resize_stored')}=true resizes whole numbers of 8 bits, found {x.dtype}"
            )
        return (
            x
            if self._keeps(x.shape[1:])
            else self._fitted(torch.from_numpy(np.ascontiguousarray(x)), self._mode()).numpy()
        )

    def _mode(self) -> Mode:
        return "bicubic" if self.rule == "bicubic" else "area"

    def sized(
        self,
        x: np.ndarray,
        known: np.ndarray | None,
        seen: np.ndarray | None,
        per_band: bool,
        limits: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """(C, H, W), measured where `known`, at the size that networks see; and (size, size) bool, None: everywhere.

        Both are None where every pixel is. The mask that is given back is True where a pixel is `seen` and in the frame.
        Averages are of seen pixels alone. per_band: a pixel is seen where any band is measured; one that is not stays NaN.
        limits: see `image`.
        """
        if self._keeps(x.shape[1:]):
            return x, seen
        if seen is None and self.fit == "pad" and x.shape[1] != x.shape[2]:
            return self.image(x, None, limits), self.mask(np.ones(x.shape[1:], dtype=bool))
        bands = ~np.isnan(x) if known is not None and per_band else None
        small = None if seen is None else self.small(seen)
        x = self.image(x, seen if bands is None else bands & seen, limits)
        if bands is not None:
            x = np.where(self._nearest(bands), x, np.float32(np.nan))
        return x, small

    def small(self, mask: np.ndarray) -> np.ndarray:
        """`mask`; one of which nothing is left is a `DataError`."""
        small = self.mask(mask)
        if not small.any():
            raise DataError(f"nothing is left of its mask ({mask.sum()} pixels) at {self.key} {self.size}")
        return small

    def image(self, x: np.ndarray, mask: np.ndarray | None, limits: np.ndarray | None = None) -> np.ndarray:
        """(C, H, W) to (C, size, size) float32; what lies outside `mask`, (H, W) or (C, H, W), has no part in the averages.

        limits (C, 2): the least and the most that the stored type can hold, scaled: what `bicubic` overshoots at an edge is
        cut there, as by PIL and torchvision; None, as of floats: it is kept.
        """
        if self._keeps(x.shape[1:]):
            return x
        mode = self._mode()
        if mask is None:
            found = self._fitted(torch.from_numpy(np.ascontiguousarray(x)), mode).numpy()
        else:
            weight = torch.from_numpy(mask.astype(np.float32)).view(-1, *mask.shape[-2:])
            inside = torch.from_numpy(np.ascontiguousarray(np.where(mask, x, np.float32(0))))
            found = self._average(inside, weight, mode).numpy()
        return found if mode == "area" or limits is None else found.clip(*limits.T[:, :, None, None])

    def _average(self, inside: Tensor, weight: Tensor, mode: Mode) -> Tensor:
        share = self._fitted(weight, mode)
        found = self._fitted(inside, mode) / share.clamp_min(1e-6)
        if mode == "area":
            return found
        # weights of a cubic may be negative: by the border of the mask, where few add up to little, the mean is taken
        return torch.where(share > 0.5, found, self._average(inside, weight, "area"))

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """(H, W) to (size, size) bool, nearest neighbour."""
        return mask if self._keeps(mask.shape) else self._nearest(mask[None])[0]

    def nearest(self, x: np.ndarray) -> np.ndarray:
        """(C, H, W) float32 to (C, size, size) as images are brought to size, but by the nearest pixel; 0 outside."""
        if self._keeps(x.shape[1:]):
            return x
        return self._fitted(torch.from_numpy(np.ascontiguousarray(x)), "nearest").numpy()

    def require(self, shape: tuple[int, ...]) -> None:
        """`DataError` for a (height, width) that can't become the wanted size."""
        self._keeps(shape)

    def _keeps(self, shape: tuple[int, ...]) -> bool:
        height, width = shape
        wanted = self.size or height
        if height == width == wanted and self.crop_pct == 1:
            return True
        if self.size is None:
            raise DataError(
                f"{height} x {width} pixels is not square; set {self.key}, and data.resize_mode to pad, stretch or crop"
            )
        if self.rule == "none":
            raise DataError(
                f"{height} x {width} pixels, expected {self.key} {wanted}; data.resize=area would resize it"
            )
        return False

    def _nearest(self, mask: np.ndarray) -> np.ndarray:
        return np.asarray(self._fitted(torch.from_numpy(mask.astype(np.float32)), "nearest").numpy() > 0.5)

    def _fitted(self, x: Tensor, mode: Mode) -> Tensor:
        """(C, H, W) to (C, size, size), blank pixels 0."""
        side, y = int(self.size or 0), self._interpolated(x, mode)
        high, wide = y.shape[1:]
        if self.fit.startswith("crop"):
            half = math.floor if self.fit == "crop_floor" else round
            top, left = half((high - side) / 2), half((wide - side) / 2)
            return y[:, top : top + side, left : left + side]
        top, left = (side - high) // 2, (side - wide) // 2
        return F.pad(y, (left, side - wide - left, top, side - high - top))

    def _scaled(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """The height and width to which (height, width) is scaled, before it is cut or padded."""
        height, width = shape
        return scaled_size(height, width, int(self.size or 0), self.fit, self.crop_pct)

    def _interpolated(self, x: Tensor, mode: Mode) -> Tensor:
        """(C, H, W) scaled; of uint8 to uint8, rounded."""
        size = self._scaled(x.shape[1:])
        if mode == "nearest":
            return F.interpolate(x[None], size, mode="nearest-exact")[0]
        by = "bilinear" if mode == "area" else "bicubic"
        native = x.dtype != torch.uint8 or by == "bicubic" or torch.backends.cpu.get_cpu_capability() in WHOLE
        given = x if native else x.float()  # as torchvision has it: not every processor resizes them as they are
        y = F.interpolate(given[None], size, mode=by, antialias=True, align_corners=False)[0]
        return y if native else y.round_().clamp_(0, 255).to(torch.uint8)
