"""Overlapping windows over a scene, and their blending: what a window says near its edge counts little or nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multimodal_lab.data.source import DataError


@dataclass(frozen=True)
class Lattice:
    """Windows of `side` pixels that share `overlap` with their neighbours; the outer `margin` of each counts nothing, but at
    the edge of the scene, where there is no other. From there its weight grows in even steps to 1."""

    side: int
    overlap: int
    margin: int

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.side:
            raise DataError(f"overlap={self.overlap}: expected 0 to {self.side - 1}, less than window={self.side}")
        if not 0 <= 2 * self.margin <= self.overlap:
            raise DataError(
                f"margin={self.margin}: expected 0 to {self.overlap // 2}, half of overlap={self.overlap}, so that every pixel "
                "lies inside some window"
            )

    def starts(self, length: int) -> list[int]:
        """The first pixel of each window along `length`; the last ends with it. A shorter scene has one, from 0."""
        found = [*range(0, max(length - self.side, 0) + 1, self.side - self.overlap)]
        if found[-1] + self.side < length:
            found.append(length - self.side)
        return found

    def weight(self, start: int, length: int) -> np.ndarray:
        """(side,) float32: what each pixel of a window counts along one axis of a scene."""
        ramp = self.overlap - 2 * self.margin + 1
        at = np.arange(self.side, dtype=np.float32)
        low = np.clip((at - self.margin + 1) / ramp, 0, 1)
        rising = np.ones_like(low) if start == 0 else low
        falling = np.ones_like(low) if start + self.side >= length else low[::-1]
        return np.asarray(rising * falling, dtype=np.float32)


class Blend:
    """Weighted means of windows, row of windows by row of windows: rows that no later window reaches are given out.

    values (K, rows, W) float32 of what is still open, from row `top` of the scene on.
    """

    def __init__(self, lattice: Lattice, count: int, height: int, width: int) -> None:
        self.lattice, self.height, self.width = lattice, height, width
        self.top = 0
        self.values = np.zeros((count, lattice.side, width), dtype=np.float32)
        self.weights = np.zeros((lattice.side, width), dtype=np.float32)

    def add(self, row: int, column: int, said: np.ndarray) -> None:
        """What a window (K, side, side) says whose first pixel is (row, column)."""
        weight = self.lattice.weight(row, self.height)[:, None] * self.lattice.weight(column, self.width)
        high, wide = min(self.lattice.side, self.height - row), min(self.lattice.side, self.width - column)
        rows, columns = slice(row - self.top, row - self.top + high), slice(column, column + wide)
        self.values[:, rows, columns] += (said * weight)[:, :high, :wide]
        self.weights[rows, columns] += weight[:high, :wide]

    def done(self, until: int) -> tuple[np.ndarray, np.ndarray]:
        """(K, n, W) means of the rows up to `until`, which are final, and (n, W) bool, where any window spoke."""
        n = until - self.top
        weights = self.weights[:n].copy()
        mean = self.values[:, :n] / np.where(weights > 0, weights, 1)
        self.values[:, : len(self.weights) - n] = self.values[:, n:].copy()
        self.weights[: len(self.weights) - n] = self.weights[n:].copy()
        self.values[:, len(self.weights) - n :] = 0
        self.weights[len(self.weights) - n :] = 0
        self.top = until
        return mean, weights > 0
