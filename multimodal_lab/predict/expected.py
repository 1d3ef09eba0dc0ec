"""What a run expects of each of its input streams."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from multimodal_lab.data import kinds
from multimodal_lab.types import Band, Stream


@dataclass(frozen=True)
class Expected:
    """What a run was trained on in one input stream, as its record has it.

    bands: of stored values, in their order. field: the column that it was read from. layout: `shape`, `dtype`, `full_scale` and
    `masked` of what was stored; empty of a text. steps: of the finished stream, where it has a time axis: a sample is then
    (C, T, …), T of at most as many, at the stream's own `rate`, or with a rate of its own: (array, Hz). frames: the fields
    of `Frames` by which those of a video were taken, where the record says it.
    """

    name: str
    kind: str
    bands: tuple[Band, ...]
    field: str
    layout: Mapping[str, Any]
    steps: int | None = None
    rate: float | None = None
    frames: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def is_text(self) -> bool:
        """Whether its values are texts."""
        return kinds.get(self.kind).stored == "column"

    @property
    def is_sound(self) -> bool:
        """Whether it is a recording as fast as sound, which files of sounds hold."""
        stream = Stream(self.name, self.kind, steps=self.steps, rate=self.rate)
        return kinds.of(stream).heard(stream)

    @property
    def is_video(self) -> bool:
        """Whether it is images with a time axis, which files of videos hold."""
        return self.steps is not None and kinds.get(self.kind).spatial

    @property
    def axes(self) -> int:
        """How many axes one stored sample has."""
        return 1 + kinds.get(self.kind).axes + (self.steps is not None)
