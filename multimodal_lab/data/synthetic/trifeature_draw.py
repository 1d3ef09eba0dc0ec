"""Draws a Trifeature image: one of ten shapes, ten textures, ten colours."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

SHAPES = ("triangle", "square", "plus", "circle", "tee", "rhombus", "pentagon", "star", "fivesquare", "trapezoid")
COLOURS = {
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
    "yellow": (1.0, 1.0, 0.0),
    "pink": (1.0, 0.4, 1.0),
    "cyan": (0.0, 1.0, 1.0),
    "purple": (0.3, 0.0, 0.5),
    "ocean": (0.1, 0.4, 0.5),
    "orange": (1.0, 0.6, 0.0),
    "white": (1.0, 1.0, 1.0),
}
GROUND = 0.5  # grey, wherever the shape is not and wherever its texture has a hole
TURN = np.pi / 4  # shape and texture are each turned by an angle in [-TURN, TURN]
UNITS = 10  # a texture is defined on squares, so many to a period
FINE = 2  # points a pixel side
DETAIL = 128  # cells a side of a shape's template

POLYGONS: dict[str, list[tuple[float, float]]] = {
    "triangle": [(0.5, 0), (1, 1), (0, 1)],
    "rhombus": [(0.5, 0), (1, 0), (0.5, 1), (0, 1)],
    "pentagon": [(0.5, 0), (1, 0.4), (0.81, 1), (0.19, 1), (0, 0.4)],
    "star": [(0.5, 0), (0.6, 0.4), (1, 0.4), (0.67, 0.54), (0.86, 1), (0.5, 0.66), (0.14, 1), (0.33, 0.54), (0, 0.4),
             (0.4, 0.4)],
    "trapezoid": [(0, 0), (1, 0), (0.68, 1), (0.32, 1)],
}  # fmt: skip


@lru_cache
def template(shape: str) -> np.ndarray:
    """(DETAIL, DETAIL) bool: a shape in its square, upright."""
    line = (np.arange(DETAIL) + 0.5) / DETAIL
    x, y = np.meshgrid(line, line)
    if shape in POLYGONS:
        return _inside(x, y, POLYGONS[shape])
    middle_x, middle_y = np.abs(x - 0.5) < 1 / 6, np.abs(y - 0.5) < 1 / 6
    drawn: dict[str, np.ndarray] = {
        "square": np.ones_like(x, dtype=bool),
        "circle": np.hypot(x - 0.5, y - 0.5) < 0.5,
        "plus": middle_x | middle_y,
        "tee": middle_x | (y < 1 / 3),
        "fivesquare": middle_x == middle_y,
    }
    return drawn[shape]


def _inside(x: np.ndarray, y: np.ndarray, corners: list[tuple[float, float]]) -> np.ndarray:
    """Whether each point is inside a polygon, by the parity of the edges to its right."""
    odd = np.zeros(x.shape, dtype=bool)
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if ay != by:
            odd ^= ((y < ay) != (y < by)) & (x < ax + (y - ay) * (bx - ax) / (by - ay))
    return odd


Pattern = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]


def _hexgrid(i: np.ndarray, j: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    slant = (1.73 * i).astype(int)
    return np.asarray(((j + slant) % UNITS < 2) | ((j - slant) % UNITS < 2) | (i % UNITS < 2))


def _zigzags(i: np.ndarray, j: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    y, x = i % UNITS, j % UNITS
    x = np.where(i // UNITS % 2, UNITS - 1 - x, x)
    return np.asarray((y // 2 < x) & (x < UNITS // 2 + y // 2))


def _pluses(i: np.ndarray, j: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Crosses in rows; those of every other row are shifted by half a period."""
    y, x = i % UNITS, (j + UNITS // 2 * (i // UNITS % 2)) % UNITS
    return np.asarray((np.abs(x - 5) < 1.5) | (np.abs(y - 5) < 1.5))


def _noise(i: np.ndarray, j: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.asarray((rng.random((i.max() + 1, j.max() + 1)) < 0.5)[i, j])


def _rain(i: np.ndarray, j: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Drops one unit wide and seven high, starting in a twentieth of the units."""
    above = (rng.random((i.max() + 1, j.max() + 1)) < 0.05).cumsum(0)
    below = np.vstack([np.zeros((7, above.shape[1]), dtype=above.dtype), above])[: len(above)]
    return np.asarray((above > below)[i, j])


TEXTURES: dict[str, Pattern] = {  # (rows, columns) of units, from 0, to whether they are filled
    "solid": lambda i, j, rng: np.ones_like(i, dtype=bool),
    "stripes": lambda i, j, rng: i % UNITS < 3,
    "grid": lambda i, j, rng: (i % UNITS < 3) | (j % UNITS < 3),
    "hexgrid": _hexgrid,
    "dots": lambda i, j, rng: (i % UNITS - 5) ** 2 + (j % UNITS - 5) ** 2 < 16,
    "noise": _noise,
    "triangles": lambda i, j, rng: i % UNITS // 2 > np.abs(j % UNITS - 5),
    "zigzags": _zigzags,
    "rain": _rain,
    "pluses": _pluses,
}


def draw(
    shape: str, texture: str, colour: str, *, size: int, side: int, period: float, rng: np.random.Generator
) -> np.ndarray:
    """(3, size, size) uint8: a shape that fills a square of `side` pixels, whole in the image, turned and placed at random.

    Its texture has `period` pixels, an angle and a place of its own. Hermann & Lampinen 2020, section 3 (size 224, side
    128, period 10). All that is random comes from `rng`.
    """
    turns = rng.uniform(-TURN, TURN, 2)
    cos, sin = np.cos(turns), np.sin(turns)
    reach = side * (cos[0] + abs(sin[0])) / 2
    across, down = rng.uniform(reach, size - reach, 2)
    line = ((np.arange(size * FINE) + 0.5) / FINE).astype(np.float32)
    x, y = np.broadcast_arrays(line - across, line[:, None] - down)
    row = np.floor(((cos[0] * y - sin[0] * x) / side + 0.5) * DETAIL).astype(int)
    column = np.floor(((cos[0] * x + sin[0] * y) / side + 0.5) * DETAIL).astype(int)
    filled = (row >= 0) & (row < DETAIL) & (column >= 0) & (column < DETAIL)
    filled[filled] = template(shape)[row[filled], column[filled]]
    x, y = x[filled], y[filled]
    start = rng.uniform(0, 2 * UNITS, 2) + side * UNITS / period  # no point of the shape is further from its middle
    i = (start[0] + (cos[1] * y - sin[1] * x) * UNITS / period).astype(int)
    j = (start[1] + (cos[1] * x + sin[1] * y) * UNITS / period).astype(int)
    filled[filled] = TEXTURES[texture](i, j, rng)
    share = filled.reshape(size, FINE, size, FINE).mean((1, 3), dtype=np.float32)
    pixels = GROUND + share * (np.array(COLOURS[colour], dtype=np.float32)[:, None, None] - GROUND)
    return np.asarray((pixels * 255).astype(np.uint8))
