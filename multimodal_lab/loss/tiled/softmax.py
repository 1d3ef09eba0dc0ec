"""Tiled softmax losses over all pairs: one pass for the log-sums, one for the gradient.

The idea is FlashAttention's (Dao 2022), which Inf-CL (Cheng 2024) takes to contrastive losses.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from multimodal_lab.device import distributed
from multimodal_lab.loss.precision import LOW, wide_type
from multimodal_lab.loss.tiled import float16, gpu
from multimodal_lab.loss.tiled.accumulators import Anchors, Sums, along
from multimodal_lab.loss.tiled.collectives import total
from multimodal_lab.loss.tiled.custom_grad import made
from multimodal_lab.loss.tiled.gpu import Fused
from multimodal_lab.loss.tiled.rows import Own, Side, everyone, gradient, local, own
from multimodal_lab.loss.tiled.tiles import Mask, Tile, Tiles

KEPT = 2**22
"""Tiles of up to this many numbers altogether are kept for the second pass, more are computed again."""


class Softmax:
    """One comparison: tiles, the scale of the logits, and which pairs stand in the denominator.

    decoupled leaves positives out of it (Yeh 2022).
    """

    def __init__(self, tiles: Tiles, scale: float | Tensor, decoupled: bool, twice: bool) -> None:
        self.tiles, self.scale, self.decoupled = tiles, scale, decoupled
        self.bounded = _bounded(scale, wide_type(tiles.a.unit.dtype))
        self.keep = twice and len(tiles.a.ids) * len(tiles.b.ids) <= KEPT
        self.kept: list[tuple[Tensor, Mask | None]] = []

    def first(self, rows: Sums, columns: Sums) -> None:
        """Sum every tile into its anchors."""
        for block in self.tiles:
            mask = self.tiles.mask(block)
            logits = self.tiles.logits(block, self.scale, mask)
            # where a tile stands for its mirror image too, its columns are anchors as its rows are
            ways = [(rows, block.rows, 1), (columns, block.columns, 0)][: 1 + block.both]
            if mask is not None:
                drawn = logits * mask.positive
                for sums, at, dim in ways:
                    sums.draw(at, dim, mask.positive, drawn)
                self._decouple(logits, mask)
            # logits that cannot overflow need no running maximum: one exp serves rows and columns
            if self.bounded:
                logits.exp_()
            for sums, at, dim in ways:
                terms = logits if self.bounded else sums.exp(at, dim, logits, self.tiles.buffer("terms", block))
                sums.add(at, dim, terms, mask)
            if self.keep:
                # a copy: the next tile overwrites the buffer
                self.kept.append((logits.clone(), mask))

    def second(self, rows: Anchors, columns: Anchors, grad_a: Tensor, grad_b: Tensor) -> None:
        """Add the gradient with respect to unit rows, over the scale, to grad_a (N, D) and grad_b (M, D)."""
        a, b = self.tiles.a.unit, self.tiles.b.unit
        kept = iter(self.kept)
        for block in self.tiles:
            logits, mask = next(kept) if self.keep else self._again(block)
            weights = self._weights(block, logits, mask, rows, columns)
            float16.add_product(grad_a[block.rows], weights, b[block.columns])
            if block.both:
                float16.add_product(grad_b[block.columns], weights.T, a[block.rows])
        self.kept.clear()

    def _again(self, block: Tile) -> tuple[Tensor, Mask | None]:
        mask = self.tiles.mask(block)
        logits = self._decouple(self.tiles.logits(block, self.scale, mask), mask)
        return logits.exp_() if self.bounded else logits, mask

    def _decouple(self, logits: Tensor, mask: Mask | None) -> Tensor:
        return logits.masked_fill_(mask.positive > 0, LOW) if self.decoupled and mask is not None else logits

    def _weights(self, block: Tile, logits: Tensor, mask: Mask | None, rows: Anchors, columns: Anchors) -> Tensor:
        """The loss's derivative by each logit of a tile."""
        weights = self._shares(block, logits, rows, columns)
        if mask is not None:
            weights -= mask.positive * (along(rows.push[block.rows], 1) + columns.push[block.columns])
        return weights

    def _shares(self, block: Tile, logits: Tensor, rows: Anchors, columns: Anchors) -> Tensor:
        """Each pair's share in the two softmaxes that it stands in, times the anchors' weights."""
        (i, j, _), room = block, self.tiles.buffer("terms", block)
        there, back = along(rows.factor[i], 1), columns.factor[j]
        if self.bounded:
            return logits.mul_(torch.add(there, back, out=room))
        other = torch.sub(logits, along(rows.shift[i], 1), out=room).exp_().mul_(there)
        return other.addcmul_(logits.sub_(columns.shift[j]).exp_(), back)


def _task(tiles: Tiles, scale: float | Tensor, decoupled: bool, twice: bool) -> Softmax | Fused:
    # the kernels compare one id a row
    fused = tiles.a.ids.ndim == 1 and gpu.wanted(tiles.a.unit)
    return Fused(tiles, scale, decoupled) if fused else Softmax(tiles, scale, decoupled, twice)


def _bounded(scale: float | Tensor, dtype: torch.dtype) -> bool:
    """Whether exp of a logit and its inverse are finite, with room for the sum; an accelerator's number is not read."""
    if isinstance(scale, Tensor) and not scale.is_cpu:
        return False
    return 2 * float(scale) < 0.9 * math.log(torch.finfo(dtype).max)


def info_nce(
    a: Tensor,
    b: Tensor,
    ids_a: Tensor,
    ids_b: Tensor,
    scale: float | Tensor,
    present_a: Tensor | None = None,
    present_b: Tensor | None = None,
    exclude_self: bool = False,
) -> Tensor:
    """`contrastive.info_nce` by tiles, with the scale of the logits, 1 / temperature: no matrix of N x M exists."""

    def compute(wanted: bool) -> tuple[Tensor, list[Tensor]]:
        return two_way(own(a, ids_a, present_a), own(b, ids_b, present_b), scale, exclude_self, wanted)

    return made(compute, a, b, scale)


def nt_xent(
    z: Tensor, ids: Tensor, scale: float | Tensor, present: Tensor | None = None, decoupled: bool = False
) -> Tensor:
    """`contrastive.nt_xent` by tiles, with the scale of the logits."""
    return made(lambda wanted: symmetric(own(z, ids, present), scale, decoupled, wanted), z, scale)


def symmetric(rows: Own, scale: float | Tensor, decoupled: bool, wanted: bool) -> tuple[Tensor, list[Tensor]]:
    """NT-Xent of rows with themselves: the value; where `wanted`, the gradients of x and of the scale."""
    every = everyone(rows)
    mine = local(rows) if distributed.active() else every
    task = _task(Tiles(mine, every, exclude_self=True, one_way=True), scale, decoupled, wanted)
    sums = Sums(mine, task.bounded)
    task.first(sums, sums)
    value, weight, anchors = _anchors(sums, decoupled, share=1.0, parts=True)
    if not wanted:
        return value, []
    lift = _lift(mine, weight)
    anchors = _lifted(anchors, lift)
    grad = mine.sums(*mine.unit.shape)
    task.second(anchors, _gathered(anchors, mine, every, len(rows.ids)), grad, grad)
    slope = total((grad * mine.unit).sum()) / (2 * lift)  # of cos(i, j) and of cos(j, i): one number
    return value, [gradient(rows, mine, grad, scale / lift), slope]


def two_way(a: Own, b: Own, scale: float | Tensor, exclude_self: bool, wanted: bool) -> tuple[Tensor, list[Tensor]]:
    """InfoNCE of a with b, both directions: the value; where `wanted`, the gradients of both inputs and of the scale."""
    mine, every = local(a), everyone(b)
    task = _task(Tiles(mine, every, exclude_self=exclude_self), scale, False, wanted)
    rows, columns = Sums(mine, task.bounded), Sums(every, task.bounded)
    task.first(rows, columns)
    # a rank compares its own rows with the columns of all: of each column it has seen a part
    columns.over_ranks()
    there, row_weight, row_anchors = _anchors(rows, False, share=0.5, parts=True)
    back, column_weight, column_anchors = _anchors(columns, False, share=0.5, parts=False)
    if not wanted:
        return there + back, []
    lift = _lift(mine, torch.maximum(row_weight, column_weight))
    grad_a, grad_b = mine.sums(*mine.unit.shape), every.sums(*every.unit.shape)
    task.second(_lifted(row_anchors, lift), _lifted(column_anchors, lift), grad_a, grad_b)
    slope = total((grad_a * mine.unit).sum()) / lift
    pulled = gradient(a, mine, grad_a, scale / lift)
    del mine, grad_a, task  # before the other side asks for as much
    return there + back, [pulled, gradient(b, every, grad_b, scale / lift, everyones=True), slope]


def _lift(side: Side, weight: Tensor) -> float | Tensor:
    """What derivatives are multiplied by before they are rounded: 1 where they are not; `weight` is an anchor's."""
    return float16.LIFT / weight if side.unit.dtype == torch.float16 else 1.0


def _lifted(anchors: Anchors, lift: float | Tensor) -> Anchors:
    return Anchors(anchors.shift, anchors.factor * lift, anchors.push * lift) if isinstance(lift, Tensor) else anchors


def _anchors(sums: Sums, decoupled: bool, share: float, parts: bool) -> tuple[Tensor, Tensor, Anchors]:
    """`share` of the mean loss over the anchors of all ranks, of which each holds a part or all; one's weight; theirs."""
    negative, positive = sums.result()
    is_anchor = sums.count > 0
    if decoupled:
        is_anchor &= sums.some_negative()
    lost = negative if decoupled else torch.logaddexp(negative, positive)
    found = torch.stack([torch.where(is_anchor, lost, 0.0).sum(), is_anchor.sum()])
    value, number = total(found) if parts else found
    weight = share / number.clamp(min=1)
    denominator = sums.negative if decoupled else sums.negative + sums.positive
    # exp(logit - 1e30) is 0: a row that is no anchor has no share, whatever its logits
    shift = torch.where(is_anchor, sums.shift, -LOW)
    factor, push = (torch.where(is_anchor, weight / x, 0.0) for x in (denominator, sums.count))
    return value * weight, weight, Anchors(shift, factor, push)


def _gathered(anchors: Anchors, mine: Side, every: Side, count: int) -> Anchors:
    """This rank's anchors to those of all ranks, in the order of `every`."""
    if mine is every:
        return anchors
    told = distributed.gather(mine.back(torch.stack(anchors, 1), count))
    return Anchors(*told[every.place].T.contiguous().unbind(0))
