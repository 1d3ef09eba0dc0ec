"""The draws' hash on a GPU, by `kernels`: a batch draws a hundred small numbers a row, and launching takes the time."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from multimodal_lab import gpu

EDGE = 256
"""Numbers that a program makes."""


def wanted(keys: Tensor) -> bool:
    """Whether the kernels hash these keys: on a GPU, and not in what a compiler is looking at."""
    return keys.is_cuda and not torch.compiler.is_compiling() and _works(keys.device)


def fold(keys: Tensor, token: int) -> Tensor:
    """mix(keys ^ token): keys (N,) int64 to the same."""
    from multimodal_lab.augment import kernels

    keys = keys.contiguous()
    out = torch.empty_like(keys)
    gpu.launch(kernels.fold, -(-len(keys) // EDGE), keys, out, token, len(keys), B=EDGE)
    return out


def uniform(keys: Tensor, width: int) -> Tensor:
    """(N, width) float32 in [0, 1) of keys (N,) int64."""
    from multimodal_lab.augment import kernels

    out = torch.empty(len(keys), width, device=keys.device)
    gpu.launch(kernels.uniform, -(-out.numel() // EDGE), keys.contiguous(), out, width, out.numel(), B=EDGE)
    return out


@lru_cache(maxsize=16)
def _works(device: torch.device) -> bool:
    two = torch.arange(2, device=device)
    return gpu.works("augmentation", lambda: uniform(fold(two, 3), 2))
