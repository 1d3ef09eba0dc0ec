"""Random crop in time: a part of a recording."""

from __future__ import annotations

import torch
from torch import Tensor

from multimodal_lab.augment.draw import Draw
from multimodal_lab.augment.op import Params, span
from multimodal_lab.augment.temporal import Temporal
from multimodal_lab.bounds import Fraction
from multimodal_lab.types import Stream


class TimeCrop(Temporal):
    """A slice of a recording (Le Guennec, Malinowski & Tavenard 2016), its share uniform in `scale`, moved to the front.

    It is not stretched, so that the rate stays true: behind it no step is real.
    """

    def __init__(
        self,
        *,
        scale: tuple[float, float] = (0.7, 1.0),
        p: Fraction = 0.5,
        streams: list[str] | None = None,
        together: bool = False,
    ) -> None:
        super().__init__(p, streams, together)
        self.scale = span("TimeCrop: scale", scale, 0.0, 1.0)

    def params(self, draw: Draw, shape: torch.Size, stream: Stream) -> Params:
        """crop_share and crop_start (N,), each a share: of the steps, and of the room that is left."""
        u = draw.uniform(2)
        return {"crop_share": self.scale[0] + (self.scale[1] - self.scale[0]) * u[:, 0], "crop_start": u[:, 1]}

    def places(self, length: Tensor, steps: int, params: Params) -> tuple[Tensor, Tensor]:
        """Whole steps."""
        kept = (params["crop_share"] * length).round().clamp(min=1)
        first = (params["crop_start"] * (length - kept + 1).clamp(min=1)).floor()
        step = torch.arange(steps, device=length.device)
        return (first[:, None] + step).clamp(max=steps - 1), step < kept[:, None]
