"""Cut recordings into windows: a sample is a window, and the windows of one recording stay together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from multimodal_lab.bounds import Positive
from multimodal_lab.data.source import DataError

EDGE = 1e-6  # of a window: rounding of times must not cost the last one


@dataclass(frozen=True)
class Windows:
    """length, stride: of the windows of a recording, in `unit`. Without a length a sample is a whole recording; without a
    stride windows lie side by side.

    unit: `seconds`, or `steps` as stored, for sensors of one rate.
    """

    length: Positive | None = None
    stride: Positive | None = None
    unit: Literal["seconds", "steps"] = "seconds"

    def require(self) -> None:
        """`DataError` for a stride without a length, or parts of a step."""
        if self.length is None and self.stride is not None:
            raise DataError(f"data.source.windows.stride: {self.stride:g} without data.source.windows.length")
        for name, value in (("length", self.length), ("stride", self.stride)):
            if self.unit == "steps" and value is not None and value != int(value):
                near = max(1, round(value))
                raise DataError(
                    f"data.source.windows.{name}: {value:g} steps, expected a whole number (nearest: {near})"
                )

    def starts(self, first: float, end: float, where: str, factor: float) -> list[float]:
        """Where the windows of a recording from `first` to `end` begin; factor: one of `unit` in the unit of these two.

        Raises `DataError` for a recording shorter than a window.
        """
        assert self.length is not None
        length, stride = self.length * factor, (self.stride or self.length) * factor
        room = end - first - length
        if room < -EDGE * length:
            raise DataError(
                f"{where} has {(end - first) / factor:g} {self.unit}, and a window {self.length:g}: expected "
                f"data.source.windows.length of at most {(end - first) / factor:g}, or recordings without this one"
            )
        return [first + k * stride for k in range(int(room / stride + EDGE) + 1)]

    def unused(self, first: float, end: float, factor: float) -> float:
        """How much, in `unit`, lies behind the last window of such a recording."""
        assert self.length is not None
        last = self.starts(first, end, "", factor)[-1]
        return max(0.0, (end - last) / factor - self.length)
