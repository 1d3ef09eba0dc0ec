"""Scaling policies: named maps from stored numbers to inputs, one per data set.

A policy has `fit(pixels) -> facts`, given the training split's pixels inside the mask, one (C, n) array a sample, and
returning plain JSON types; and `apply(x, mask, full_scale, facts)`, from a stored (C, H, W) or (C,) array to float32 of
the same shape. `mask` is (H, W) bool or None. Policies that learn nothing don't touch `pixels`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Protocol

import numpy as np

from multimodal_lab.bounds import Count
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.statistics import Moments, inside_mask

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

    def fit(self, pixels: Pixels) -> Facts:
        """Nothing to learn."""
        return {}

    def apply(self, x: np.ndarray, mask: np.ndarray | None, full_scale: float, facts: Facts) -> np.ndarray:
        """x / full_scale."""
        return x.astype(np.float32) * np.float32(1 / full_scale)


class NoScaling:
    """The stored values as they are."""

    choice = "none"

    def fit(self, pixels: Pixels) -> Facts:
        """Nothing to learn."""
        return {}

    def apply(self, x: np.ndarray, mask: np.ndarray | None, full_scale: float, facts: Facts) -> np.ndarray:
        """x."""
        return x.astype(np.float32)


class FixedRange:
    """Send `low` to 0 and `high` to 1, in stored units; values beyond them pass 0 and 1 unless `clip`."""

    choice = "fixed_range"

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
        kept = [p[:, :: max(1, -(-p.shape[1] // self.pixels_per_sample))] for p in pixels]
        low, high = np.percentile(np.concatenate(kept, 1), [self.low, self.high], axis=1)
        flat = np.flatnonzero(high <= low)
        if len(flat):
            raise DataError(
                f"data.scaling: percentiles {self.low} and {self.high} of band {flat[0]} are equal ({low[flat[0]]:g})"
            )
        return {"low": low.tolist(), "high": high.tolist()}

    def apply(self, x: np.ndarray, mask: np.ndarray | None, full_scale: float, facts: Facts) -> np.ndarray:
        """(x - low) / (high - low) per band."""
        low, high = np.array(facts["low"]), np.array(facts["high"])
        return _clipped(_affine(x, low, 1 / (high - low)), self.clip)


class DatasetStats:
    """Take off each band's mean and divide by its standard deviation, both from the training split."""

    choice = "dataset_stats"

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
        low, high = inside.min(axis), inside.max(axis)
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
        std = y.std(0)
        return np.asarray((y - y.mean(0)) / np.where(std > 0, std, 1.0), dtype=np.float32)


def _affine(x: np.ndarray, low: Values, factor: Values) -> np.ndarray:
    shape = (-1,) + (1,) * (x.ndim - 1)
    shift, scale = np.reshape(low, shape), np.reshape(factor, shape)
    return np.asarray((x - shift) * scale, dtype=np.float32)


def _clipped(x: np.ndarray, clip: bool) -> np.ndarray:
    return x.clip(0, 1) if clip else x
