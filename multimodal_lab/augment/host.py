"""Whether a tensor is in host memory: decides between the CPU and the GPU variant of an op."""

from __future__ import annotations

from torch import Tensor


def holds(x: Tensor) -> bool:
    """Whether the host's memory holds `x`: there rows are counted and picked, on a device all are worked on."""
    return x.device.type == "cpu"
