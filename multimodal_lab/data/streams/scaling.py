"""Scaling policies: named maps from stored numbers to inputs, one per data set.

A policy has `fit(pixels) -> facts`, given the training split's pixels inside the mask, one (C, n) array a sample, and
returning plain JSON types; and `apply(x, mask, full_scale, facts)`, from a stored (C, H, W) or (C,) array to float32 of
the same shape. `mask` is (H, W) bool or None. Policies that learn nothing don't touch `pixels`. NaN is a value that was not
measured: it teaches nothing and stays NaN. A policy that leaves values in the units of the stored type has
`unit(high, full_scale)` too, a power of two that spans what it makes, where |x| <= `high` in the training split:
augmentations take it for 1. What other policies make spans about 1. A policy that gives every value by itself, whatever
stands beside it in its sample, says `elementwise = True`: many vectors, (C, n), are then scaled at once. One that learns a number
of every stored band names those facts in `per_band`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal, Protocol

import numpy as np

from multimodal_lab.bounds import Count
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.statistics import BandError, Moments, inside_mask

BRIGHTEST = 4.0  # reflectance: a glint is brighter than the white reference
Facts = dict[str, Any]
Pixels = Iterable[np.ndarray]
Values = np.ndarray | float


class Scaling(Protocol):
    """What every policy offers."""

    def fit(self, pixels: Pixels) -> Facts:
        """What the policy needs of the training split."""
        ...

    def apply(self, x: np.ndarray, mask: np.ndarray | None, full_scale: float, facts: Facts) -> np.ndarray:
        """Scale one stored array to float32."""
        ...


class DtypeMax:
    """Divide by the largest value of the stored type: keeps the differences between bands and between specimens."""

    choice = "dtype_max"
    elementwise = True

    def fit(self, pixels: Pixels) -> Facts:
        """Nothing to learn."""
        return {}

    def apply(self, x: np.ndarray, mask: np.ndarray | None, full_scale: float, facts: Facts) -> np.ndarray:
        """x / full_scale."""
        return x.astype(np.float32) * np.float32(1 / full_scale)

    def unit(self, high: float, full_scale: float) -> float:
        """1 where the values need the bits of their type."""
        whole = full_scale + 1 if full_scale > 1 else 1.0
        return _full_range(high * full_scale, full_scale) / whole


class NoScaling:
    """The stored values as they are."""

    choice = "none"
    elementwise = True

    def fit(self, pixels: Pixels) -> Facts:
        """Nothing to learn."""
        return {}

    def apply(self, x: np.ndarray, mask: np.ndarray | None, full_scale: float, facts: Facts) -> np.ndarray:
        """x."""
        return x.astype(np.float32)

    def unit(self, high: float, full_scale: float) -> float:
        """In stored units."""
        return _full_range(high, full_scale)


class FixedRange:
    """Send `low` to 0 and `high` to 1, in stored units; values beyond them pass 0 and 1 unless `clip`."""

    choice = "fixed_range"
    elementwise = True

    def __init__(self, *, low: float = 0.0, high: float = 1.0, clip: bool = False) -> None:
        if not high > low:
            raise DataError(f"data.scaling: high {high} must be above low {low}")
        self.low = low
        self.high = high
        self.clip = clip

    def fit(self, pixels: Pixels) -> Facts:
        """Nothing to learn."""
        return {}

    def apply(self, x: np.ndarray, mask: np.ndarray | None, full_scale: float, facts: Facts) -> np.ndarray:
        """(x - low) / (high - low)."""
        return _clipped(_affine(x, self.low, 1 / (self.high - self.low)), self.clip)


class Percentile:
    """Send each band's `low` and `high` percentile of the training split to 0 and 1."""

    choice = "percentile"
    elementwise = True
    per_band = ("low", "high")

    def __init__(
        self, *, low: float = 1.0, high: float = 99.0, clip: bool = False, pixels_per_sample: Count = 1024
    ) -> None:
        if not 0 <= low < high <= 100:
            raise DataError(f"data.scaling: percentiles must satisfy 0 <= low < high <= 100, got {low} and {high}")
        self.low = low
        self.high = high
        self.clip = clip
        self.pixels_per_sample = pixels_per_sample

    def fit(self, pixels: Pixels) -> Facts:
        """low, high: C stored values each, from at most `pixels_per_sample` evenly spaced pixels of each sample."""
        kept = np.concatenate([p[:, :: max(1, -(-p.shape[1] // self.pixels_per_sample))] for p in pixels], 1)
        percentile = np.nanpercentile if np.isnan(kept.min()) else np.percentile  # this one is quicker
        low, high = percentile(kept, [self.low, self.high], axis=1)
        flat = np.flatnonzero(high <= low)
        if len(flat):
            said = f"data.scaling: percentiles {self.low} and {self.high} of band {{}} are equal ({low[flat[0]]:g})"
            raise BandError(said, int(flat[0]))
        return {"low": low.tolist(), "high": high.tolist()}

    def apply(self, x: np.ndarray, mask: np.ndarray | None, full_scale: float, facts: Facts) -> np.ndarray:
        """(x - low) / (high - low) per band."""
        low, high = np.array(facts["low"]), np.array(facts["high"])
        return _clipped(_affine(x, low, 1 / (high - low)), self.clip)


class DatasetStats:
    """Take off each band's mean and divide by its standard deviation, both from the training split."""

    choice = "dataset_stats"
    elementwise = True
    per_band = ("mean", "std")

    def fit(self, pixels: Pixels) -> Facts:
        """mean, std: C stored values each."""
        moments = Moments()
        for p in pixels:
            moments.add(p)
        mean, std = moments.result("data.scaling")
        return {"mean": mean.tolist(), "std": std.tolist()}

    def apply(self, x: np.ndarray, mask: np.ndarray | None, full_scale: float, facts: Facts) -> np.ndarray:
        """(x - mean) / std per band."""
        return _affine(x, np.array(facts["mean"]), 1 / np.array(facts["std"]))


class PerImageMinMax:
    """Send each image's own extremes inside the mask to 0 and 1: differences between specimens are lost.

    `over="image"` keeps the ratios between bands; `over="band"` loses those too.
    """

    choice = "per_image_minmax"

    def __init__(self, *, over: Literal["image", "band"] = "image") -> None:
        self.over = over

    def fit(self, pixels: Pixels) -> Facts:
        """Nothing to learn."""
        return {}

    def apply(self, x: np.ndarray, mask: np.ndarray | None, full_scale: float, facts: Facts) -> np.ndarray:
        """(x - min) / (max - min); a constant image or band becomes 0."""
        inside = inside_mask(x, mask).astype(np.float64)
        axis = None if self.over == "image" or x.ndim == 1 else 1
        low, high = np.fmin.reduce(inside, axis), np.fmax.reduce(inside, axis)  # of what is not NaN
        span = np.where(high > low, high - low, 1.0)
        return _affine(x, low, 1 / span)


class PerPixelStandardise:
    """Each pixel's spectrum, or each vector, to mean 0 and deviation 1 over its bands: shape without brightness."""

    choice = "per_pixel_standardise"

    def fit(self, pixels: Pixels) -> Facts:
        """Nothing to learn."""
        return {}

    def apply(self, x: np.ndarray, mask: np.ndarray | None, full_scale: float, facts: Facts) -> np.ndarray:
        """(x - mean over bands) / std over bands; a flat spectrum becomes 0. One band alone is a `DataError`."""
        if len(x) < 2:
            raise DataError("data.scaling: per_pixel_standardise needs at least two bands")
        y = x.astype(np.float64)
        if np.isnan(y.min()):
            count = np.maximum((~np.isnan(y)).sum(0), 1)
            mean = np.nansum(y, 0) / count
            std = np.sqrt(np.nansum((y - mean) ** 2, 0) / count)
        else:
            mean, std = y.mean(0), y.std(0)
        return np.asarray((y - mean) / np.where(std > 0, std, 1.0), dtype=np.float32)


def ends(scaling: Scaling, dtype: np.dtype[Any], bands: int, full_scale: float, facts: Facts) -> np.ndarray | None:
    """(bands, 2): the least and the most that a stored integer type can hold, scaled; None where none are known."""
    if dtype.kind not in "ui" or not getattr(scaling, "elementwise", False):
        return None
    held = np.iinfo(dtype)
    return scaling.apply(np.tile(np.array([held.min, held.max], dtype=dtype), (bands, 1)), None, full_scale, facts)


def _affine(x: np.ndarray, low: Values, factor: Values) -> np.ndarray:
    shape = (-1,) + (1,) * (x.ndim - 1)
    shift, scale = np.reshape(low, shape), np.reshape(factor, shape)
    return np.asarray((x - shift) * scale, dtype=np.float32)


def _clipped(x: np.ndarray, clip: bool) -> np.ndarray:
    return x.clip(0, 1) if clip else x


def _full_range(high: float, full_scale: float) -> float:
    """2^b of the fewest bits b that hold values up to `high`, in stored units; 1 of floats of about 0 to 1.

    The type's own bits where at most one is spare (12-bit counts in 16 bits leave four), and 8 at least: a dark 8-bit image
    is one all the same.
    """
    if full_scale <= 1:
        return 1.0 if high <= BRIGHTEST else 2.0 ** math.ceil(math.log2(high + 1))
    high = round(high)
    return full_scale + 1 if 4 * high > full_scale else 2.0 ** max(8, math.ceil(math.log2(high + 1)))
