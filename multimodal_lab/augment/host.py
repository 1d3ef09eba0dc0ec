"""Where a batch lies: what is quick on a CPU is slow on a device, and the other way round."""

from __future__ import annotations

from torch import Tensor


def holds(x: Tensor) -> bool:
    """Whether the host's memory holds `x`: there rows are counted and picked, on a device all are worked on."""
    return x.device.type == "cpu"
