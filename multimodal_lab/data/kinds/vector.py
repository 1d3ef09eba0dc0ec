"""The `vector` kind: (C,) arrays, or (C, T) with a time axis."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from multimodal_lab.data.array import Array
from multimodal_lab.data.line_plot import lines
from multimodal_lab.types import Stream


class Vector(Array):
    """A spectrum, a row of a table: one number a band. With steps a recording, of which there is a picture: a line plot."""

    default_backbone: ClassVar[str] = "vector"

    def shows(self, stream: Stream) -> bool:
        """A recording."""
        return stream.steps is not None

    def picture(self, x: Tensor, stream: Stream) -> Tensor:
        """A line a band, in the units of the stream's deviations."""
        mean, std = (x.new_tensor(v)[:, None] for v in (stream.mean, stream.std))
        return lines((x - mean) / std.clamp_min(1e-12)) * stream.unit
