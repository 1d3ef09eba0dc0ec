"""Cached encodings of one stream, and what replaces its backbone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

import torch
from torch import Tensor

from multimodal_lab.types import Features


@dataclass(frozen=True)
class Encodings:
    """The encodings of all N samples: tokens (N, L, D), pooled (N, D), mask (N, L) bool, present (N,) bool. Of texts see `texts`.

    grid (2,) int64: the height and width of `Features.grid`; (0,) of tokens that are none.
    """

    tokens: Tensor
    pooled: Tensor
    mask: Tensor
    present: Tensor
    grid: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))

    @property
    def size(self) -> int:
        """Size in bytes."""
        return sum(x.numel() * x.element_size() for x in vars(self).values())

    def to(self, device: torch.device) -> Self:
        """Move to `device` if it would fill at most half of the free memory there, else stay."""
        if device.type == "cuda" and 2 * self.size > torch.cuda.mem_get_info(device)[0]:
            return self
        return replace(self, **{name: x.to(device) for name, x in vars(self).items()})


class Lookup:
    """Replaces a backbone's forward pass: row numbers (N,) int64 to their `Features`."""

    def __init__(self, table: Encodings) -> None:
        self.table = table
        height, width = table.grid.tolist() or (0, 0)
        self.grid = (height, width) if height else None

    def __call__(self, rows: Tensor, valid: None = None, draw: object = None) -> Features:
        """The rows of the table, on the device of `rows`; a frozen backbone was told which steps are valid, and draws nothing."""
        at = rows.to(self.table.pooled.device)
        tokens, pooled, mask = (
            x.index_select(0, at).to(rows.device) for x in (self.table.tokens, self.table.pooled, self.table.mask)
        )
        return Features(tokens, pooled, mask, grid=self.grid)
