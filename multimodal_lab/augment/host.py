"""Where a batch lies: what is quick on a CPU is slow on a device, and the other way round."""

from __future__ import annotations

from torch import Tensor


def holds(x: Tensor) -> bool:
    """Whether `x` is in host memory: there rows are counted and indexed, on a device all rows are computed."""
    return x.device.type == "cpu"
