"""Which tokens of a text are real: those that are not padding."""

from __future__ import annotations

import torch
from torch import Tensor

from multimodal_lab.types import Stream


def real_tokens(x: Tensor, stream: Stream) -> Tensor:
    """x (N, L) int64 to (N, L) bool; a row of padding alone has no real token.

    Where one id ends a text and pads it, as CLIP's does, the first is real.
    """
    if stream.pad != stream.eos:
        return x != stream.pad
    pads = x == stream.pad
    return (pads.cumsum(1) - pads.long() == 0) & ~pads[:, :1]


def some_key(mask: Tensor) -> Tensor:
    """(N, L) bool, real tokens, to those that attention may see: in a row of padding alone its first, as a softmax needs one."""
    first = torch.arange(mask.shape[1], device=mask.device) == 0
    return mask | (first & ~mask.any(1, keepdim=True))
