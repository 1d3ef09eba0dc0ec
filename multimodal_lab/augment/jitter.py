"""Jitter: noise in proportion to what each channel usually varies by."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from multimodal_lab.augment.draw import Draw, constant
from multimodal_lab.augment.op import Params, Photometric, number
from multimodal_lab.bounds import Fraction, NonNegative
from multimodal_lab.types import KindName, Stream


class Jitter(Photometric):
    """Normal noise of `sigma` standard deviations of each channel over the training split, on every value (Um et al. 2017).

    Channels of one sensor have units of their own, acceleration and turning rate: one deviation for all would drown the one
    and leave the other.
    """

    kinds: ClassVar[tuple[KindName, ...]] = ("vector",)

    def __init__(self, *, sigma: NonNegative = 0.05, p: Fraction = 0.5, streams: list[str] | None = None) -> None:
        super().__init__(p, streams)
        self.sigma = number("Jitter: sigma", sigma)

    def params(self, draw: Draw, shape: torch.Size, stream: Stream) -> Params:
        """jitter (N, C, H, W), standard normal."""
        return {"jitter": draw.normal(shape[1:].numel()).view(-1, *shape[1:])}

    def apply(self, x: Tensor, params: Params, stream: Stream) -> Tensor:
        """The sum."""
        usual = tuple(s / stream.unit for s in stream.std) or (1.0,)
        return x + params["jitter"] * (self.sigma * constant((usual,), x.device).to(x.dtype)[..., None, None])
