"""Draws a specimen of `specimens`: outline, plumage regions, shading, feather patterns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

PIGMENTS = np.array(
    [  # R, G, B, UV1, UV2, UV3
        [0.84, 0.82, 0.78, 0.58, 0.50, 0.44],  # white
        [0.09, 0.09, 0.10, 0.08, 0.08, 0.08],  # black
        [0.42, 0.29, 0.19, 0.14, 0.12, 0.11],  # brown
        [0.44, 0.46, 0.50, 0.38, 0.33, 0.29],  # grey
        [0.84, 0.70, 0.17, 0.33, 0.44, 0.42],  # carotenoid yellow, with its second peak in the UV
        [0.70, 0.22, 0.15, 0.25, 0.31, 0.33],  # carotenoid red
        [0.20, 0.38, 0.68, 0.74, 0.64, 0.50],  # structural blue, brightest near the UV
        [0.38, 0.48, 0.22, 0.22, 0.20, 0.18],  # olive
        [0.60, 0.35, 0.18, 0.13, 0.12, 0.11],  # rufous
    ],
    dtype=np.float32,
)
REGIONS = ("ground", "back", "belly", "tail", "head", "throat", "wing", "bar", "bill")


@dataclass(frozen=True)
class Pose:
    """How one image lies: angle in radians, shift and scale in half image widths, bill to the left if `mirrored`."""

    angle: float
    shift: tuple[float, float]
    scale: float
    mirrored: bool

    @classmethod
    def drawn(cls, rng: np.random.Generator, mirrored: bool) -> Pose:
        """A small random pose: ±9°, ±4 %, 0.92 to 1.04."""
        angle, dx, dy, scale = rng.uniform((-0.15, -0.04, -0.04, 0.92), (0.15, 0.04, 0.04, 1.04))
        return cls(angle, (dx, dy), scale, mirrored)


@lru_cache(8)
def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    line = ((np.arange(size) + 0.5) / size * 2 - 1).astype(np.float32)
    return np.broadcast_to(line, (size, size)), np.broadcast_to(line[:, None], (size, size))


def outline(size: int, build: np.ndarray, pose: Pose) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A bird in profile, as four (H, W) arrays.

    Region: place in `REGIONS`, 0 off the bird; shade in (0, 1]; body coordinates along and across. build: six relative
    sizes (body length, body depth, head, bill, tail, wing).
    """
    x, y = _grid(size)
    flip = np.float32(-1 if pose.mirrored else 1)
    cos, sin = np.float32(np.cos(pose.angle) / pose.scale), np.float32(np.sin(pose.angle) / pose.scale)
    dx, dy = np.float32(pose.shift[0]), np.float32(pose.shift[1])
    u = flip * (cos * (x - dx) + sin * (y - dy))
    v = cos * (y - dy) - sin * (x - dx)
    length, depth, head, bill, tail, wing = (1 + build).tolist()
    u = u + np.float32(0.08)
    body = _ellipse(u, v - 0.08, 0.54 * length, 0.41 * depth)
    head_x, head_y, head_r = 0.46 * length, -0.26, 0.26 * head
    skull = _ellipse(u - head_x, v - head_y, head_r, head_r)
    tip = u - head_x - 0.8 * head_r
    in_bill = (tip > 0) & (np.abs(v - head_y - 0.02) < 0.1 * (1 - tip / (0.32 * bill)))
    back = -u - 0.35 * length
    in_tail = (back > 0) & (back < 0.46 * tail) & (np.abs(v - 0.1 - 0.15 * back) < 0.12 + 0.14 * back)
    folded = _ellipse(u + 0.12, v + 0.01 + 0.16 * u, 0.38 * wing, 0.2 * wing)
    region = np.zeros((size, size), dtype=np.intp)
    _paint(region, in_bill, "bill")
    _paint(region, in_tail, "tail")
    _paint(region, body < 1, "back")
    _paint(region, (body < 1) & (v > 0.2), "belly")
    _paint(region, skull < 1, "head")
    _paint(region, (np.minimum(body, skull) < 1) & (v > head_y + 0.06) & (u > head_x - head_r), "throat")
    _paint(region, folded < 1, "wing")
    _paint(region, (folded < 1) & (np.abs(u + 0.04) < 0.075), "bar")
    round_ = np.minimum(body, skull)
    shade = np.float32(1) - np.float32(0.3) * np.minimum(round_, np.float32(1)) - np.float32(0.12) * v
    return region, shade, u, v


def _ellipse(u: np.ndarray, v: np.ndarray, a: float, b: float) -> np.ndarray:
    return np.asarray((u * np.float32(1 / a)) ** 2 + (v * np.float32(1 / b)) ** 2)


def _paint(region: np.ndarray, where: np.ndarray, name: str) -> None:
    region[where] = REGIONS.index(name)


def _barred(u: np.ndarray, v: np.ndarray, phase: float) -> np.ndarray:
    return np.asarray(np.sin(u * np.float32(1.6) + np.float32(phase)))


def _streaked(u: np.ndarray, v: np.ndarray, phase: float) -> np.ndarray:
    return np.sin(v * np.float32(2.0) + u * np.float32(0.3) + np.float32(phase))


def _spotted(u: np.ndarray, v: np.ndarray, phase: float) -> np.ndarray:
    return np.asarray(np.sin(u * np.float32(1.4) + np.float32(phase)) * np.sin(v * np.float32(1.4)))


def _plain(u: np.ndarray, v: np.ndarray, phase: float) -> np.ndarray:
    return np.asarray(np.float32(0.3) * np.sin(u * np.float32(0.2) + np.float32(phase)))


TEXTURES: tuple[Callable[[np.ndarray, np.ndarray, float], np.ndarray], ...] = (_plain, _barred, _spotted, _streaked)
