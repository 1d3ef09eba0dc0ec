"""Time warp: a smooth random change of speed along a recording."""

from __future__ import annotations

import torch
from torch import Tensor

from multimodal_lab.augment.draw import Draw
from multimodal_lab.augment.op import Params, number
from multimodal_lab.augment.temporal import Temporal
from multimodal_lab.bounds import Count, Fraction, NonNegative
from multimodal_lab.types import Stream


class TimeWarp(Temporal):
    """Time that runs faster here and slower there (Um et al. 2017): the log of its speed is linear between `knots` normal draws.

    sigma: their deviation; at .2 the speed is 16 % off on average. The recording begins and ends where it did: its length stays.
    """

    def __init__(
        self,
        *,
        sigma: NonNegative = 0.2,
        knots: Count = 4,
        p: Fraction = 0.5,
        streams: list[str] | None = None,
        together: bool = False,
    ) -> None:
        super().__init__(p, streams, together)
        self.sigma = number("TimeWarp: sigma", sigma)
        self.knots = int(number("TimeWarp: knots", knots, 2))

    def params(self, draw: Draw, shape: torch.Size, stream: Stream) -> Params:
        """warp_knots (N, knots): log speeds."""
        return {"warp_knots": draw.normal(self.knots) * self.sigma}

    def places(self, length: Tensor, steps: int, params: Params) -> tuple[Tensor, Tensor]:
        """The integral of the speed, from 0 to the last real step."""
        step = torch.arange(steps, device=length.device)
        last = (length[:, None] - 1).clamp(min=1).double()
        knots = params["warp_knots"].double()
        at = ((step[1:] - 0.5) / last).clamp(max=1) * (self.knots - 1)
        low = at.floor().clamp(max=self.knots - 2).long()
        speed = torch.lerp(knots.gather(1, low), knots.gather(1, low + 1), at - low).exp()
        way = torch.nn.functional.pad((speed * (step[1:] <= last)).cumsum(1), (1, 0))
        place = way / way[:, -1:].clamp(min=1e-12) * last
        inside = step < length[:, None]
        # the ends exactly, whatever the rounding of the sum
        place = torch.where((step == last) | ~inside, step.double(), place)
        return place, inside
