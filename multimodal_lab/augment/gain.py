"""Random gain: a recording louder or softer."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from multimodal_lab.augment.draw import Draw
from multimodal_lab.augment.op import Params, Photometric, span
from multimodal_lab.bounds import Fraction
from multimodal_lab.types import KindName, Stream


class Gain(Photometric):
    """All channels times 10^(g / 20), g uniform in `gain`, in decibels of amplitude; nothing is clipped at -1 and 1."""

    kinds: ClassVar[tuple[KindName, ...]] = ("vector",)

    def __init__(
        self, *, gain: tuple[float, float] = (-6.0, 6.0), p: Fraction = 0.5, streams: list[str] | None = None
    ) -> None:
        super().__init__(p, streams)
        self.gain = span("Gain: gain", gain, -120.0, 120.0)

    def params(self, draw: Draw, shape: torch.Size, stream: Stream) -> Params:
        """gain (N,) in decibels."""
        return {"gain": draw.between(*self.gain, 1)[:, 0]}

    def apply(self, x: Tensor, params: Params, stream: Stream) -> Tensor:
        """The product."""
        return x * (10 ** (params["gain"] / 20)).view(-1, 1, 1, 1)
