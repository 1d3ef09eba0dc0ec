"""The rows of one side of a tiled loss: present, normalised, sorted by id so that positives share few tiles."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from multimodal_lab.device import distributed
from multimodal_lab.loss.precision import wide, wide_type
from multimodal_lab.loss.tiled import float16
from multimodal_lab.loss.tiled.collectives import own_part


class Own(NamedTuple):
    """This rank's rows, detached: x (N, D); norm (N, 1), 1 for a zero row; ids (N,) or (N, K); present (N,) bool."""

    x: Tensor
    norm: Tensor
    ids: Tensor
    present: Tensor

    def unit(self) -> Tensor:
        """(N, D) in float32 or wider, a missing row zero; made when needed, since the sorted copy is what is kept."""
        return torch.where(self.present[:, None], wide(self.x), 0.0).div_(self.norm)

    def factors(self) -> Tensor:
        """`unit` as tiles multiply it: in float16 where that is `float16.wanted`."""
        return self.unit().half() if float16.wanted(self.x) else self.unit()


class Side(NamedTuple):
    """Rows sorted by id: unit (M, D), rounded where `float16.wanted`; ids (M,), or (M, K), sorted by
    the first; place (M,), where each stood, counted from `first` over all ranks.

    seen (M,) bool on an accelerator, where missing rows stay and every shape is known without asking it; None on the
    CPU, where they are left out.
    """

    unit: Tensor
    ids: Tensor
    place: Tensor
    seen: Tensor | None
    first: int = 0

    def sums(self, *shape: int) -> Tensor:
        """Zeros of `shape` in what sums over these rows are kept in."""
        return self.unit.new_zeros(shape, dtype=wide_type(self.unit.dtype))

    def back(self, values: Tensor, count: int) -> Tensor:
        """`values` (M, …) where their rows stood, (count, …), and 0 where none is."""
        out = values.new_zeros(count, *values.shape[1:])
        out[self.place] = values
        return out


def own(x: Tensor, ids: Tensor, present: Tensor | None) -> Own:
    """Rows x (N, D) with their ids (N,) or (N, K); all are present unless `present` (N,) bool says otherwise."""
    if present is None:
        present = torch.ones(len(ids), dtype=torch.bool, device=ids.device)
    norm = torch.linalg.vector_norm(wide(x), dim=1, keepdim=True)
    # Dividing a zero row by a tiny epsilon, as F.normalize does, would multiply its gradient by 1e12.
    return Own(x.detach(), torch.where(norm > 1e-12, norm, 1.0), ids, present)


def everyone(rows: Own) -> Side:
    """The rows of all ranks, each of which must bring as many; alone: this rank's."""
    return _sorted(distributed.gather(rows.factors()), distributed.gather(rows.ids), distributed.gather(rows.present))


def local(rows: Own) -> Side:
    """This rank's rows."""
    return _sorted(
        rows.factors(), rows.ids, rows.present, len(rows.ids) * distributed.rank() if distributed.active() else 0
    )


def _sorted(unit: Tensor, ids: Tensor, present: Tensor, first: int = 0) -> Side:
    key = ids if ids.ndim == 1 else ids[:, 0]
    if _asks(ids):
        there = present.nonzero().squeeze(1)
        order = there[key[there].argsort(stable=True)]
        return Side(unit[order], ids[order], order, None, first)
    order = key.argsort(stable=True)
    return Side(unit[order], ids[order], order, present[order], first)


def _asks(x: Tensor) -> bool:
    """Whether the number of rows that are there may be asked: an accelerator would have to be waited for."""
    return x.is_cpu


def gradient(rows: Own, side: Side, grad: Tensor, scale: float | Tensor, everyones: bool = False) -> Tensor:
    """The gradient with respect to x (N, D), from `grad` (M, D): that with respect to the side's unit rows over `scale`.

    everyones: the side is `everyone` and each rank found a part of `grad`; the parts are added up. As for
    `distributed.gather`, the result is times the number of ranks: DDP's averaging makes it exact.
    """
    count = len(rows.ids)
    if everyones and distributed.active():
        grad = own_part(side.back(grad, count * distributed.world()))
    else:
        grad = side.back(grad, count)
    grad *= scale * distributed.world()
    unit = rows.unit()
    # through the normalisation: the part along the row would change its length alone, which the loss does not see
    grad.addcmul_(unit, torch.linalg.vecdot(grad, unit)[:, None], value=-1)
    return grad.div_(rows.norm)
