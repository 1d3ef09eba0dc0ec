"""Scalars of a loss, such as a temperature: learned, or scheduled over training progress in [0, 1]."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from multimodal_lab.bounds import Positive

ROUNDING = 1e-5  # relative: CLIP's own scale is exp of the float nearest to ln 100


class _Project(torch.autograd.Function):
    """Clamp whose gradient vanishes only where descent would leave the interval: a number at a bound can return."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bounds = low, high
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (x,), (low, high), grad = ctx.saved_tensors, ctx.bounds, grads[0]
        outward = ((x <= low) & (grad > 0)) | ((x >= high) & (grad < 0))
        return torch.where(outward, 0.0, grad), None, None


class LearnedScalar(nn.Module):
    """A learned positive number, exp of a parameter, held in [low, high].

    CLIP's temperature (Radford 2021, 2.5) is init 0.07, low 0.01. init: "weights", what the weights of the backbones have learnt
    of this name, see `begin`. Returns a 0-d tensor. `ValueError` unless low <= init <= high.
    """

    def __init__(self, init: Positive | Literal["weights"], low: Positive, high: Positive) -> None:
        super().__init__()
        self.low, self.high, self.of_weights = low, high, init == "weights"
        self.log = nn.Parameter(torch.tensor(0.0))
        self.begin(high if isinstance(init, str) else init)

    def begin(self, init: float) -> None:
        """Start at `init`; a bound may be missed by the last digits of a published number."""
        if not 0 < self.low <= init * (1 + ROUNDING) or init > self.high * (1 + ROUNDING):
            raise ValueError(
                f"LearnedScalar: expected 0 < low <= init <= high, found low {self.low}, init {init}, high {self.high}"
            )
        with torch.no_grad():
            self.log.fill_(math.log(min(max(init, self.low), self.high)))

    def forward(self, progress: float) -> Tensor:
        """The current value; `progress` is ignored."""
        value: Tensor = _Project.apply(self.log, math.log(self.low), math.log(self.high))
        return value.exp()


class FreeScalar(nn.Module):
    """A learned number of any sign, such as SigLIP's bias. init: as of `LearnedScalar`. Returns a 0-d tensor."""

    def __init__(self, init: float | Literal["weights"]) -> None:
        super().__init__()
        self.of_weights = init == "weights"
        self.value = nn.Parameter(torch.tensor(0.0 if isinstance(init, str) else float(init)))

    def begin(self, init: float) -> None:
        """Start at `init`."""
        with torch.no_grad():
            self.value.fill_(init)

    def forward(self, progress: float) -> Tensor:
        """The current value; `progress` is ignored."""
        return self.value


class LinearSchedule(nn.Module):
    """From `start` to `end` in a straight line."""

    def __init__(self, start: float, end: float) -> None:
        super().__init__()
        self.start, self.end = start, end

    def forward(self, progress: float) -> float:
        """The number at `progress` in [0, 1]."""
        return self.start + (self.end - self.start) * progress
