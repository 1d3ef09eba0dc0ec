"""Whether a tensor is in host memory: decides between the CPU and the GPU variant of an op."""

from __future__ import annotations

from torch import Tensor


def holds(x: Tensor) -> bool:
    """Whether `x` is in host memory: there rows are counted and indexed, on a device all rows are computed."""
    return x.device.type == "cpu"
