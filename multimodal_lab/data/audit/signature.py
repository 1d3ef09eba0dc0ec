"""Fixed-length signature of an image or vector, from which near duplicates are found."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

SIDE = 32  # pixels that an image is brought to
SMALLEST = 16  # an image with fewer pixels a side is taken as a list of numbers
COEFFICIENTS = 12  # of the cosine transform, down and across
COLOURS = 3  # groups of neighbouring bands that are looked at apart
NUMBERS = 512  # of a vector, evenly spaced


def signature(x: np.ndarray, centred: bool = False) -> np.ndarray:
    """(n, …) to (n, W) float32 of length 1: the same for a copy in another size, contrast, brightness or encoding.

    Images (n, C, S, S) from 16 pixels on: the lowest 12 x 12 cosine coefficients of the image at 32 x 32 pixels (the
    transform of pHash: Zauner 2010), of up to 3 groups of bands, so that drawings that differ in colour alone differ.
    Vectors (n, C) and smaller images: their numbers, at most 512, without their mean (it is 0 where they are `centred`). 0 for
    a constant.
    """
    made = _transformed(x) if x.ndim == 4 and x.shape[-1] >= SMALLEST else _numbers(x, centred)
    length = np.linalg.norm(made, axis=1, keepdims=True)
    return np.asarray(np.divide(made, length, out=np.zeros_like(made), where=length > 1e-6), dtype=np.float32)


FRAMES = 3  # of a video, evenly spaced among its valid ones


def of_steps(x: np.ndarray, valid: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """(n, W) of recordings (n, C, T) or videos (n, C, T, S, S), of which `valid` (n, T) says the measured steps.

    Recordings: their numbers in deviations from the bands' means, 0 where padded, so that padding is no likeness. Videos: three
    frames, each in grey.
    """
    if x.ndim == 3:
        z = (x - mean[:, None]) / np.where(std > 0, std, 1)[:, None]
        return signature(np.where(valid[:, None], z, np.float32(0)).astype(np.float32), centred=True)
    last = np.maximum(valid.sum(1), 1) - 1
    order = np.argsort(~valid, axis=1, kind="stable")  # the valid ones first, in their order
    at = (last[:, None] * (np.arange(FRAMES) + 0.5) / FRAMES).round().astype(int)
    chosen = np.take_along_axis(order, at, axis=1)
    return signature(np.stack([x[i][:, frames].mean(0) for i, frames in enumerate(chosen)]))


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether samples of this shape are looked at as images."""
    return len(shape) == 3 and min(shape[1:]) >= SMALLEST


def thumbnail(x: np.ndarray) -> np.ndarray:
    """(n, G, 32, 32) uint8 of images (n, C, S, S): up to 3 groups of bands, each image from its least to its largest value."""
    down, across = _shrunk(x.shape[2]), _shrunk(x.shape[3])
    small = down @ _groups(x) @ across.T
    low, high = (f(small, axis=(1, 2, 3), keepdims=True) for f in (np.min, np.max))
    return np.asarray(np.round(255 * (small - low) / np.maximum(high - low, 1e-12)), dtype=np.uint8)


def _transformed(x: np.ndarray) -> np.ndarray:
    down, across = _basis(x.shape[2]), _basis(x.shape[3])
    found = down @ _groups(x) @ across.T
    found[..., 0, 0] -= found[..., 0, 0].mean(1, keepdims=True)  # brightness goes, the bands' differences stay
    return np.asarray(found.reshape(len(x), -1))


def _groups(x: np.ndarray) -> np.ndarray:
    """(n, G, S, S): the means of neighbouring bands."""
    groups = np.array_split(np.arange(x.shape[1]), min(COLOURS, x.shape[1]))
    return np.stack([x[:, g].mean(1) for g in groups], axis=1).astype(np.float32)


@lru_cache(maxsize=16)
def _shrunk(size: int) -> np.ndarray:
    """(32, size): shrink to 32 pixels by a triangle filter, or interpolate."""
    at = (np.arange(SIDE) + 0.5) * size / SIDE - 0.5
    weight = np.maximum(0, 1 - np.abs(np.arange(size) - at[:, None]) / max(1.0, size / SIDE))
    return np.asarray(weight / weight.sum(1, keepdims=True), dtype=np.float32)


@lru_cache(maxsize=16)
def _basis(size: int) -> np.ndarray:
    """(12, size): to 32 pixels, then the orthonormal DCT-II."""
    weight = _shrunk(size)
    wave = np.cos(np.pi * (np.arange(SIDE) + 0.5) * np.arange(COEFFICIENTS)[:, None] / SIDE) * (2 / SIDE) ** 0.5
    wave[0] /= 2**0.5
    return np.asarray(wave @ weight, dtype=np.float32)


def _numbers(x: np.ndarray, centred: bool) -> np.ndarray:
    flat = x.reshape(len(x), -1)
    at = np.linspace(0, flat.shape[1] - 1, min(NUMBERS, flat.shape[1])).round().astype(int)
    kept = flat[:, at].astype(np.float64)
    return np.asarray(kept if centred else kept - kept.mean(1, keepdims=True))
