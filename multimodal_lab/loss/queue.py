"""A queue of keys: what a slowly moving teacher said of earlier batches, as further rows to compare with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from multimodal_lab.bounds import Count
from multimodal_lab.device import distributed
from multimodal_lab.loss.tiled.rows import Side


class Keys(NamedTuple):
    """Keys of one name, of all ranks: unit (M, D), ids (M,), seen (M,) bool; text (M,), ids of what rows hold in that stream."""

    unit: Tensor
    ids: Tensor
    seen: Tensor
    text: Tensor


class Queue(nn.Module):
    """The last `size` keys of each name (He 2020, section 3.1), first in, first out; buffers, so that a resume has them.

    A row that is missing, has no id (-1) or is not finite takes a place that is never compared: ranks stay in step.
    """

    came_later: ClassVar[tuple[str, ...]] = ("_text",)  # -1: what the keys of an earlier version hold is not known
    at: Tensor

    def __init__(self, size: Count, dim: Count) -> None:
        super().__init__()
        self.size, self.dim = size, dim
        self.register_buffer("at", torch.zeros((), dtype=torch.int64))

    def prepare(self, names: Iterable[str]) -> None:
        """Make room for the keys of these names."""
        for name in names:
            self.register_buffer(f"{name}_unit", torch.zeros(self.size, self.dim))
            self.register_buffer(f"{name}_ids", torch.full((self.size,), -1))
            self.register_buffer(f"{name}_seen", torch.zeros(self.size, dtype=torch.bool))
            self.register_buffer(f"{name}_text", torch.full((self.size,), -1))

    def side(self, name: str, by: str, found: Mapping[str, Keys]) -> Side:
        """The keys of this batch, then those of the queue, as what anchors of `by` are compared with.

        `place` is -1 in the queue; ids (M, 3) are those of the rows and of what they hold in both streams.
        """
        whole = {n: [torch.cat([new, kept.to(new.dtype)]) for new, kept in zip(found[n], self._of(n), strict=True)]
                 for n in dict.fromkeys((name, by))}  # fmt: skip
        unit, ids, seen, text = whole[name]
        place = torch.arange(len(ids), device=ids.device)
        columns = torch.stack([ids, text, whole[by][3]], 1)
        return Side(unit, columns, torch.where(place < len(found[name].ids), place, -1), seen)

    @torch.no_grad()
    def push(self, keys: Mapping[str, Keys]) -> None:
        """Let the keys of a batch replace the oldest ones; `ValueError` where they are more than it holds."""
        count = len(next(iter(keys.values())).ids)
        if count > self.size:
            raise ValueError(
                f"loss moco: a step has {count} keys of all ranks, and the queue holds {self.size}; give loss.fn.queue >= {count}"
            )
        places = (self.at + torch.arange(count, device=self.at.device)) % self.size
        for name, new in keys.items():
            for kept, value in zip(self._of(name), new, strict=True):
                kept.index_copy_(0, places, value.to(kept.dtype))
        self.at.add_(count).remainder_(self.size)

    def _of(self, name: str) -> Keys:
        return Keys(*(getattr(self, f"{name}_{part}") for part in Keys._fields))


def gathered(x: Tensor, ids: Tensor, present: Tensor, text: Tensor) -> Keys:
    """Keys of all ranks from this rank's rows x (N, D), normalised, without a gradient; ids, text (N,)."""
    x = x.detach().to(torch.promote_types(x.dtype, torch.float32))
    seen = present & (ids != -1) & x.isfinite().all(1)
    x = torch.where(seen[:, None], x, 0.0)
    norm = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return Keys(*map(distributed.gather, (x / torch.where(norm > 1e-12, norm, 1.0), ids, seen, text)))
