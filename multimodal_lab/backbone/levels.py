"""The grid of an image model's features, and the finer maps that it computes on the way."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor


def finer(model: Any) -> tuple[int, ...]:
    """The widths of a timm model's maps that are finer than its last, finest first; () where all are of one size (ViT)."""
    info = getattr(model, "feature_info", None) or []
    found = [(int(one["reduction"]), int(one["num_chs"])) for one in getattr(info, "info", info)]
    steps = [step for step, _ in found]
    if not hasattr(model, "forward_intermediates") or steps != sorted(set(steps)):
        return ()
    return tuple(width for _, width in found[:-1])


def grid_of(found: Tensor, tokens: int, channels_last: bool) -> tuple[int, int] | None:
    """(H', W') of features (N, D, H', W'), (N, H', W', D) or (N, prefix + L, D), of which L = `tokens` are places of a square."""
    if found.ndim == 4:
        height, width = found.shape[1:3] if channels_last else found.shape[2:]
        return int(height), int(width)
    side = math.isqrt(tokens)
    return (side, side) if side * side == tokens else None
