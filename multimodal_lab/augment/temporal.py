"""`Temporal`, the base class of the ops that move steps in time, and with them what says which steps are real."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from multimodal_lab.augment.draw import Draw, constant
from multimodal_lab.augment.op import Params, Photometric, listed
from multimodal_lab.types import KindName, Stream


def timed(name: str, streams: Mapping[str, Stream]) -> dict[str, Stream]:
    """The streams that have steps, for an op called `name` in the config; none is a `ValueError`."""
    found = {key: stream for key, stream in streams.items() if stream.steps is not None}
    if not found:
        raise ValueError(
            f"augment.ops.{name} works along the time axis, and no stream has steps; {listed(streams)}. Remove it, or give one "
            "steps: modality.STREAM.steps=null"
        )
    return found


class Temporal(Photometric):
    """An op on series (N, C, T) and videos (N, C, T, H, W): `places` says where in the input each step is read, `read_at` reads.

    Streams without steps are left alone. Values are moved, not changed, so that any unit will do. together: one draw for all
    streams of a sample, so that what is in step, such as a video and its sound, stays so; without, each has its own.
    """

    kinds: ClassVar[tuple[KindName, ...]] = ("vector", "image")
    steps: ClassVar[bool] = True

    def __init__(self, p: float, streams: list[str] | None, together: bool = False) -> None:
        super().__init__(p, streams)
        self.together = together

    def targets(self, name: str, streams: Mapping[str, Stream]) -> list[str]:
        """Those of `Photometric` that have steps; none is a `ValueError`."""
        return super().targets(name, timed(name, streams))

    def places(self, length: Tensor, steps: int, params: Params) -> tuple[Tensor, Tensor]:
        """Where each of `steps` steps is read, (N, T) float, and (N, T) bool, which are inside the recording.

        length: (N,) how many steps there are up to the last real one.
        """
        raise NotImplementedError

    def moved(self, x: Tensor, valid: Tensor, draw: Draw, stream: Stream) -> tuple[Tensor, Tensor]:
        """x (N, C, T, …) and valid (N, T) bool to the same, acting on each row with probability `p`.

        Outside the recording x is the stream's mean, as where a batch was padded. A row that would be left without one
        real step stays as it is.
        """
        if self.p == 0:
            return x, valid
        on = draw.fold("p").uniform(1) < self.p
        step = torch.arange(1, x.shape[2] + 1, device=x.device)
        length = (step * valid).amax(1)
        place, inside = self.places(length, x.shape[2], self.params(draw, x.shape, stream))
        y, real = read_at(x, valid, place)
        real &= inside
        on = on & real.any(1, keepdim=True)
        behind = [1] * (x.dim() - 2)
        mean = constant((stream.mean or (0.0,),), x.device).to(x.dtype).view(1, -1, *behind)
        y = torch.where(inside.view(len(x), 1, -1, *behind[1:]), y, mean)
        return torch.where(on.view(-1, 1, *behind), y, x), torch.where(on, real, valid)


def read_at(x: Tensor, valid: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """x (N, C, T, …) at `place` (N, T') in steps, linear between two; real only where both are, or one stands there exactly."""
    last = x.shape[2] - 1
    low = place.floor().clamp(0, last)
    part = place - low
    left, right = low.long(), (low.long() + 1).clamp(max=last)
    rows = torch.arange(len(x), device=x.device)[:, None]

    def at(index: Tensor) -> Tensor:
        return x.transpose(1, 2)[rows, index].transpose(1, 2)

    a, share = at(left), part.view(len(x), 1, -1, *[1] * (x.dim() - 3))
    y = torch.where(share > 0, a + (at(right) - a) * share.to(x.dtype), a)
    return y, valid.gather(1, left) & (valid.gather(1, right) | (part <= 0))
