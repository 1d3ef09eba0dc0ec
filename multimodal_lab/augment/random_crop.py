"""A random part of a fixed number of steps, in training; evaluation sees whole recordings."""

from __future__ import annotations

import torch
from torch import Tensor

from multimodal_lab.augment.draw import Draw
from multimodal_lab.augment.op import Params
from multimodal_lab.augment.temporal import Temporal
from multimodal_lab.bounds import Count
from multimodal_lab.types import Stream


class RandomCrop(Temporal):
    """`steps` steps in a row of every recording, from a place that is uniform; a shorter one is whole.

    Unlike `TimeCrop` it makes the batch shorter, so that a network has less to do.
    """

    def __init__(self, *, steps: Count, streams: list[str] | None = None) -> None:
        super().__init__(1.0, streams)
        self.kept = int(steps)

    def params(self, draw: Draw, shape: torch.Size, stream: Stream) -> Params:
        """crop_start (N,), a share of the room that there is."""
        return {"crop_start": draw.uniform(1)[:, 0]}

    def moved(self, x: Tensor, valid: Tensor, draw: Draw, stream: Stream) -> tuple[Tensor, Tensor]:
        """x (N, C, T, …) and valid (N, T) bool to (N, C, min(T, steps), …) and (N, min(T, steps)).

        Where a gap fills the part that was drawn, it is the last part, which holds a real step.
        """
        steps = min(self.kept, x.shape[2])
        length = (torch.arange(1, x.shape[2] + 1, device=x.device) * valid).amax(1)
        room = (length - steps).clamp(min=0)
        first = (self.params(draw, x.shape, stream)["crop_start"] * (room + 1)).floor().long()
        step = torch.arange(steps, device=x.device)
        held = valid.gather(1, first[:, None] + step).any(1)
        place = torch.where(held, first, room)[:, None] + step
        index = place.reshape(len(x), 1, steps, *[1] * (x.ndim - 3)).expand(-1, x.shape[1], -1, *x.shape[3:])
        return x.gather(2, index), valid.gather(1, place)
