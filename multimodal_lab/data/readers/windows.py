"""Cut recordings into windows: a sample is a window, and the windows of one recording stay together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from multimodal_lab.bounds import Positive
from multimodal_lab.data.readers.limits import ROW, Limits
from multimodal_lab.data.source import DataError

EDGE = 1e-6  # of a window: rounding of times must not cost the last one
LARGEST = 2.0**62  # of a count: times may be any finite numbers, whose difference is none


@dataclass(frozen=True)
class Windows:
    """length, stride: of the windows of a recording, in `unit`. Without a length a sample is a whole recording; without a
    stride windows lie side by side.

    unit: `seconds`, or `steps` as stored, for sensors of one rate. shorter: a recording shorter than a window is refused, is one
    sample `whole` as it is, which a batch pads, or is left out (`drop`) and counted.
    """

    length: Positive | None = None
    stride: Positive | None = None
    unit: Literal["seconds", "steps"] = "seconds"
    shorter: Literal["refuse", "whole", "drop"] = "refuse"

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

    def starts(self, first: float, end: float, where: str, factor: float, limits: Limits, stored: int) -> list[float]:
        """Where the windows of a recording from `first` to `end` begin; factor: one of `unit` in the unit of these two.

        Raises `DataError` for a recording shorter than a window, or gives its beginning, or nothing, as `shorter` says; and where
        a recording of few bytes, `stored`, claims to last so long that rows of its windows alone are beyond the limits.
        """
        assert self.length is not None
        length, stride = self.length * factor, (self.stride or self.length) * factor
        room = end - first - length
        if room < -EDGE * length and self.shorter != "refuse":
            return [first] if self.shorter == "whole" else []
        if room < -EDGE * length:
            raise DataError(
                f"{where} has {(end - first) / factor:g} {self.unit}, and a window {self.length:g}: expected "
                f"data.source.windows.length of at most {(end - first) / factor:g}, or data.source.windows.shorter=whole or drop"
            )
        count = int(min(room / stride + EDGE, LARGEST)) + 1
        limits.swell(where, count * ROW, stored, f"rows of {count:,} windows take")
        return [first + k * stride for k in range(count)]

    def unused(self, end: float, starts: Sequence[float], factor: float) -> float:
        """How much, in `unit`, lies behind the last window of such a recording."""
        assert self.length is not None
        return max(0.0, (end - starts[-1]) / factor - self.length) if starts else 0.0

    def told(self, lengths: Sequence[float]) -> list[str]:
        """What to tell of recordings of these lengths, in `unit`, that are shorter than a window."""
        assert self.length is not None
        short = sum(length < self.length * (1 - EDGE) for length in lengths)
        what = "one sample each, shorter than a window" if self.shorter == "whole" else "left out"
        return (
            [f"windows: {short} of {len(lengths)} recordings are shorter than a window and are {what}"] if short else []
        )
