"""Each channel multiplied by a factor of its own."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from multimodal_lab.augment.draw import Draw
from multimodal_lab.augment.op import Params, Photometric, number
from multimodal_lab.bounds import Fraction, NonNegative
from multimodal_lab.types import KindName, Stream


class ChannelScale(Photometric):
    """A factor for each channel, normal around 1 with deviation `sigma` (Um et al. 2017): a sensor's gain, a person's vigour."""

    kinds: ClassVar[tuple[KindName, ...]] = ("vector",)

    def __init__(self, *, sigma: NonNegative = 0.1, p: Fraction = 0.5, streams: list[str] | None = None) -> None:
        super().__init__(p, streams)
        self.sigma = number("ChannelScale: sigma", sigma)

    def params(self, draw: Draw, shape: torch.Size, stream: Stream) -> Params:
        """channel_factor (N, C)."""
        return {"channel_factor": 1 + self.sigma * draw.normal(shape[1])}

    def apply(self, x: Tensor, params: Params, stream: Stream) -> Tensor:
        """The product."""
        return x * params["channel_factor"][:, :, None, None]
