"""Coordinates of the points of a body, counted from one of them and in its own length: its place and size play no part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from multimodal_lab.data.source import DataError


@dataclass(frozen=True)
class Relative:
    """Points whose `axes` coordinates stand side by side among the channels: joint 0 x, y, z, joint 1 x, y, z, …

    origin: the point, from 0, that they are counted from, at `each` step (its own channels are 0 and left out), or where it is at
    the `first` step that has it, which keeps how the whole body moves. unit: two points whose median distance over the recording
    is 1; None leaves the stored unit.
    """

    axes: int = 3
    origin: int = 0
    at: Literal["each", "first"] = "each"
    unit: list[int] | None = None

    def require(self, sensor: str, channels: int) -> None:
        """`DataError` where the channels have no such points."""
        key = f"data.source.relative.{sensor}"
        if self.axes < 1 or channels % self.axes:
            raise DataError(f"{key}.axes={self.axes}: {channels} channels are no points of so many coordinates")
        if self.unit is not None and (len(self.unit) != 2 or self.unit[0] == self.unit[1]):
            raise DataError(f"{key}.unit={self.unit}: expected two points, such as [3, 1]")
        points = channels // self.axes
        for name, point in (("origin", self.origin), *(("unit", p) for p in self.unit or ())):
            if not 0 <= point < points:
                raise DataError(f"{key}.{name}: no point {point}; there are 0 to {points - 1}")

    def kept(self, channels: int) -> list[int]:
        """The channels that are left: all but those of an origin that moves along."""
        own = range(self.axes * self.origin, self.axes * (self.origin + 1))
        return [c for c in range(channels) if self.at == "first" or c not in own]

    def of(self, load: Callable[[int], np.ndarray], sensor: str) -> Callable[[int], np.ndarray]:
        """What `load` gives of a recording (C, T), so changed."""
        return lambda i: self.changed(load(i), sensor, i)

    def changed(self, x: np.ndarray, sensor: str = "", recording: int = 0) -> np.ndarray:
        """Of (C, T) the channels `kept`, float32; NaN stays, and a step whose origin is not measured is none."""
        points = x.astype(np.float64).reshape(-1, self.axes, x.shape[1])
        start = points[self.origin]
        if self.at == "first":
            there = np.flatnonzero(~np.isnan(start).any(0))
            start = start[:, there[:1]] if len(there) else np.full((self.axes, 1), np.nan)
        made = points - start
        if self.unit is not None:
            apart = np.linalg.norm(points[self.unit[0]] - points[self.unit[1]], axis=0)
            known = apart[~np.isnan(apart)]
            length = float(np.median(known)) if len(known) else 1.0
            if not length > 0:
                raise DataError(
                    f"data.source.relative.{sensor}.unit={self.unit}: in recording {recording} (from 0) both are one point"
                )
            made /= length
        return np.asarray(made.reshape(x.shape)[self.kept(len(x))], np.float32)
