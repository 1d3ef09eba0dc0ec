"""Helpers shared by the fusions: output widths, present rows, masked pooling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from multimodal_lab.types import Features


def with_fused(dims: Mapping[str, int], width: int) -> dict[str, int]:
    """The widths of its streams and of `fused`. ValueError where there is no stream, or one of that name."""
    if not dims:
        raise ValueError("a fusion needs at least one stream, found none; choose a modality with a stream")
    if "fused" in dims:
        raise ValueError("a stream is named 'fused', the name that a fusion gives its own output; rename the stream")
    return {**dims, "fused": width}


def presence(features: Mapping[str, Features], names: list[str]) -> Tensor:
    """(N, M) bool: which stream each row has, in the order of `names`."""
    return torch.stack([features[name].present for name in names], 1)


def shared_grid(streams: Iterable[Features]) -> tuple[int, int] | None:
    """The grid that all have; None where they differ or one has none."""
    found = {f.grid for f in streams}
    return found.pop() if len(found) == 1 else None


def vector(x: Tensor, rows: Tensor, weights: Mapping[str, Tensor] | None = None) -> Features:
    """x (N, D) as Features of one token a row; a row outside `rows` (N,) bool is missing: mask False, values zero."""
    x = torch.where(rows[:, None], x, x.new_zeros(()))
    return Features(x.unsqueeze(1), x, rows[:, None], weights or {})


def masked_mean(tokens: Tensor, mask: Tensor) -> Tensor:
    """The mean over real tokens, (N, L, D) and (N, L) bool to (N, D), in fp32 or wider; zero where none is real."""
    real = torch.where(mask[..., None], tokens, tokens.new_zeros(()))
    total = real.sum(1, dtype=torch.promote_types(tokens.dtype, torch.float32))
    return (total / mask.sum(1, keepdim=True).clamp(min=1)).to(tokens.dtype)
