"""Cached encodings of one stream, and the modules that replace its backbone and its reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from multimodal_lab.data.loading.collate import Collator, Stacked
from multimodal_lab.types import Features


@dataclass(frozen=True)
class Encodings:
    """The encodings of all N samples: tokens (N, L, D), pooled (N, D), mask (N, L) bool, present (N,) bool.

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

    def to(self, device: torch.device) -> Encodings:
        """Move to `device` if it would fill at most half of the free memory there, else stay."""
        if device.type == "cuda" and 2 * self.size > torch.cuda.mem_get_info(device)[0]:
            return self
        return Encodings(**{name: x.to(device) for name, x in vars(self).items()})


class Lookup:
    """Replaces a backbone's forward pass: row numbers (N,) int64 to their `Features`."""

    def __init__(self, table: Encodings) -> None:
        self.table = table
        height, width = table.grid.tolist() or (0, 0)
        self.grid = (height, width) if height else None

    def __call__(self, rows: Tensor, valid: None = None) -> Features:
        """The rows of the table, on the device of `rows`; which steps were valid the table has told its backbone."""
        at = rows.to(self.table.pooled.device)
        tokens, pooled, mask = (
            x.index_select(0, at).to(rows.device) for x in (self.table.tokens, self.table.pooled, self.table.mask)
        )
        return Features(tokens, pooled, mask, grid=self.grid)


class IndexCollator:
    """Replaces the data's `Collator`: streams with a table give row numbers (N,) int64 and are not read; the others are.

    sources[stream] (N,): the rows whose stream each row takes for its own, where it was shuffled. whole: the collator before.
    """

    def __init__(self, tables: Mapping[str, Encodings], sources: Mapping[str, np.ndarray], whole: Collator) -> None:
        self.present = {name: table.present.cpu() for name, table in tables.items()}
        self.sources = {name: source for name, source in sources.items() if name in tables}
        self.kinds, self.texts = whole.kinds, whole.texts
        read = [name for name in whole.streams if name not in tables]
        if any(whole.kinds[name].spatial for name in read):  # images are blank outside the mask of all of them
            read = [name for name in whole.streams if name not in tables or whole.kinds[name].spatial]
        self.rest = whole.only(read) if read else None

    @property
    def kept(self) -> Stacked | None:
        """What `keep` has kept."""
        return None if self.rest is None else self.rest.kept

    def keep(self) -> None:
        """Keep the streams that are read in memory."""
        if self.rest is not None:
            self.rest.keep()

    def __call__(self, rows: np.ndarray, epoch: int | None) -> Stacked:
        """The given rows; see `Collator` for what is read."""
        made = Stacked({}, {}, {}, None) if self.rest is None else self.rest(rows, epoch)
        own = {n: torch.from_numpy(self.sources[n][rows] if n in self.sources else rows) for n in self.present}
        made.values |= own
        made.present |= {n: self.present[n][at] for n, at in own.items()}
        made.valid = {n: x for n, x in made.valid.items() if n not in own}
        return made
