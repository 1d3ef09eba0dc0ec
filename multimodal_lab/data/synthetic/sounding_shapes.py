"""What a bouncing object of each class looks like: its shape and colour, its flight, and the flash of its impact."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

FLOOR, GRAVITY, FLASH = (
    0.82,
    9.0,
    0.08,
)  # of the frame's height from above; heights / s^2; s in which a flash fades to 1/e

# a shape is its distance from the centre in radii: at most 1 inside
SHAPES: dict[str, tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], tuple[float, float, float]]] = {
    "bell": (lambda x, y: np.hypot(x, y), (1.0, 0.85, 0.1)),  # a disc
    "block": (lambda x, y: np.maximum(abs(x), abs(y)) * 1.1, (0.65, 0.4, 0.2)),  # a square
    "drum": (lambda x, y: np.maximum(abs(x) * 1.7 - y, 1.4 * y) / 1.1, (0.9, 0.15, 0.2)),  # a triangle
    "shaker": (lambda x, y: (abs(x) + abs(y)) / 1.2, (0.85, 0.85, 0.9)),  # a diamond
    "horn": (lambda x, y: 1 + 3 * (abs(np.hypot(x, y) - 0.8) - 0.3), (0.2, 0.4, 1.0)),  # a ring
    "bird": (lambda x, y: np.maximum(np.minimum(abs(x), abs(y)) * 3, np.maximum(abs(x), abs(y))), (0.2, 0.85, 0.35)),  # a cross
}  # fmt: skip


def paint(
    frames: np.ndarray, kind: str, place: float, impacts: np.ndarray, t: np.ndarray, radius: float, shade: np.ndarray
) -> None:
    """Paint an object into frames (3, T, H, W), at the times `t` (T,); place and radius are shares of the frame's side."""
    inside, colour = SHAPES[kind]
    size = frames.shape[-1]
    at = (np.arange(size) + 0.5) / size
    height, last = flight(impacts, t)
    x = (at - place)[None, None, :] / radius
    y = (at[None, :, None] - (FLOOR - radius - height)[:, None, None]) / radius
    cover = np.clip(0.5 + (1 - inside(x, y)) * radius * size, 0, 1)  # an edge one pixel wide
    bright = 0.6 + 0.8 * np.exp(-last / FLASH)
    frames *= 1 - cover
    frames += cover * np.minimum(shade * colour, 1)[:, None, None, None] * bright[None, :, None, None]


def flight(impacts: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The height over the floor, in frames, at times t (T,), and the seconds since the last impact: a parabola between two."""
    after = np.searchsorted(impacts, t, side="right").clip(1, len(impacts) - 1)
    begin, end = impacts[after - 1], impacts[after]
    height: np.ndarray = GRAVITY / 2 * (t - begin) * (end - t)
    return height.clip(min=0), t - begin
