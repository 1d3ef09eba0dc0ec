"""The learning rate schedule: linear warm-up, then cosine or constant."""

from __future__ import annotations

import math
from typing import Literal

import torch


def ramp_steps(total: int, share: float, steps: int | None) -> int:
    """How many of `total` optimizer steps warm up: `steps`, or the share where that is None."""
    return math.ceil(share * total) if steps is None else steps


def factor(step: int, total: int, *, ramp: int, kind: Literal["cosine", "constant"], min_lr_ratio: float) -> float:
    """The multiplier of every group's own rate at `step` of `total`: linear warm-up over `ramp` steps, then cosine to
    `min_lr_ratio` (Loshchilov & Hutter 2017, eq. 5) or constant. Being relative, it never raises a small rate to a shared
    minimum.
    """
    if step < ramp:
        return (step + 1) / (ramp + 1)
    if kind == "constant":
        return 1.0
    done = (step - ramp) / max(1, total - ramp)
    return min_lr_ratio + (1 - min_lr_ratio) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def set_rates(optimizer: torch.optim.Optimizer, multiplier: float) -> None:
    """Set every group's rate to its own base rate times `multiplier`."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * multiplier
