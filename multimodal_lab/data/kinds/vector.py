"""The `vector` kind: (C,) arrays, or (C, T) with a time axis."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from multimodal_lab.data.array import Array
from multimodal_lab.data.line_plot import lines
from multimodal_lab.data.spectrogram_plot import AUDIBLE, spectrogram
from multimodal_lab.types import Stream


class Vector(Array):
    """A spectrum, a row of a table: one number a band. With steps a recording, of which there is a picture: a line plot, or of
    a sound (`AUDIBLE`) its spectrogram."""

    default_backbone: ClassVar[str] = "vector"

    def shows(self, stream: Stream) -> bool:
        """A recording."""
        return stream.steps is not None

    def heard(self, stream: Stream) -> bool:
        """A recording as fast as sound."""
        return stream.steps is not None and (stream.rate or 0.0) >= AUDIBLE

    def picture(self, x: Tensor, stream: Stream) -> Tensor:
        """A line a band, in the units of the stream's deviations; of a sound its spectrogram."""
        if self.heard(stream):
            return spectrogram(x, float(stream.rate or AUDIBLE)) * stream.unit
        mean, std = (x.new_tensor(v)[:, None] for v in (stream.mean, stream.std))
        return lines((x - mean) / std.clamp_min(1e-12)) * stream.unit
