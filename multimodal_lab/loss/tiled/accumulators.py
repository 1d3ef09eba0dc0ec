"""Streaming logsumexp accumulators of the softmax losses, updated tile by tile."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from multimodal_lab.loss.precision import LOW
from multimodal_lab.loss.tiled.collectives import largest, total
from multimodal_lab.loss.tiled.rows import Side
from multimodal_lab.loss.tiled.tiles import Mask


def along(values: Tensor, dim: int) -> Tensor:
    """`values` broadcast along a tile's rows (dim 1, as a column) or its columns (dim 0)."""
    return values[:, None] if dim == 1 else values


class Sums:
    """Running sums of the anchors of one side: exp(logit - shift) over negatives and over positives, and the positives.

    The positives are summed apart: what is left of a small loss is the negatives' share, which would drown beside
    them. The shift is 0 where `bounded` logits cannot overflow, else the largest logit so far.
    """

    def __init__(self, side: Side, bounded: bool) -> None:
        count = len(side.ids)
        self.bounded = bounded
        self.shift = side.sums(count) if bounded else side.sums(count).fill_(LOW)
        self.totals = side.sums(4, count)
        self.negative, self.positive, self.drawn, self.count = self.totals

    def draw(self, at: slice, dim: int, positive: Tensor, drawn: Tensor) -> None:
        """Add the positives of a tile, 1 where they are, and `drawn`, their logits, 0 elsewhere."""
        self.drawn[at] += drawn.sum(dim)
        self.count[at] += positive.sum(dim)

    def add(self, at: slice, dim: int, terms: Tensor, mask: Mask | None) -> None:
        """Add a tile of exp(logit - shift)."""
        if mask is not None:
            found = terms * mask.positive
            self.positive[at] += found.sum(dim)
            terms = terms - found  # exactly 0 at a positive
        self.negative[at] += terms.sum(dim)

    def exp(self, at: slice, dim: int, logits: Tensor, out: Tensor) -> Tensor:
        """exp(logit - shift) into `out`, after the shift has followed this tile's largest logit."""
        self._move(torch.maximum(self.shift[at], logits.amax(dim)), at)
        return torch.sub(logits, along(self.shift[at], dim), out=out).exp_()

    def _move(self, shift: Tensor, at: slice) -> None:
        # online softmax: what is summed so far was relative to the old shift
        self.totals[:2, at] *= (self.shift[at] - shift).exp()
        self.shift[at] = shift

    def over_ranks(self) -> None:
        """Add what the other ranks saw of the same anchors."""
        if not self.bounded:
            self._move(largest(self.shift), slice(None))
        total(self.totals)

    def some_negative(self) -> Tensor:
        """(M,) bool: anchors whose tiles held a logit to sum, where positives were hidden."""
        return torch.logical_and(self.negative > 0, self.shift > LOW)

    def result(self) -> tuple[Tensor, Tensor]:
        """Log-sums of each anchor's negatives and of its positives, less its mean positive logit.

        An anchor without positives gets numbers that mean nothing.
        """
        base = self.shift - self.drawn / self.count.clamp(min=1)
        # One positive is its own mean: exactly 0, not the rounding of the log of an exp.
        positive = torch.where(self.count == 1, 0.0, self.positive.log() + base)
        return self.negative.log() + base, positive


class Anchors(NamedTuple):
    """What the second pass needs of one side's rows, each (M,).

    factor · exp(logit - shift) is a pair's share of the anchor's softmax times the anchor's weight in the loss; push
    is that weight over the anchor's number of positives. A row that is no anchor has factor and push 0.
    """

    shift: Tensor
    factor: Tensor
    push: Tensor
