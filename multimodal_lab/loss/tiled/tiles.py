"""Tile iteration over rows × rows, without the full N × N matrix."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor

from multimodal_lab.loss.precision import LOW, wide_type
from multimodal_lab.loss.streams import equal
from multimodal_lab.loss.tiled import float16
from multimodal_lab.loss.tiled.rows import Side

EDGE, ACCELERATED = 384, 4096
"""Rows and columns of a tile: what a CPU core's cache holds (256 to 512 cost the same), what fills an accelerator."""


class Tile(NamedTuple):
    """One tile: slices of rows and columns; `both` where its columns are anchors too."""

    rows: slice
    columns: slice
    both: bool


class Mask(NamedTuple):
    """What a tile has beside negatives: positive pairs, 1 and else 0, and hidden ones, True, never to be compared."""

    positive: Tensor
    hidden: Tensor | None


class Tiles:
    """The tiles of side a against side b.

    one_way: only rows are anchors. Where b is a itself the pair (i, j) is also (j, i): then the tiles of the upper
    triangle are enough, those beside the diagonal counting both ways. exclude_self hides each row from itself.
    """

    def __init__(self, a: Side, b: Side, *, exclude_self: bool = False, one_way: bool = False) -> None:
        self.a, self.b, self.exclude_self, self.one_way = a, b, exclude_self, one_way
        self.edge = EDGE if a.unit.is_cpu else ACCELERATED
        self.spare: dict[str, Tensor] = {}

    def __iter__(self) -> Iterator[Tile]:
        return self.by(self.edge)

    def by(self, edge: int) -> Iterator[Tile]:
        """The tiles of up to `edge` rows and columns."""
        columns = list(_slices(len(self.b.ids), edge))
        for i, rows in enumerate(_slices(len(self.a.ids), edge)):
            for j, these in enumerate(columns):
                if self.a is not self.b:
                    yield Tile(rows, these, not self.one_way)
                elif j >= i:
                    yield Tile(rows, these, j > i)

    def buffer(self, name: str, block: Tile) -> Tensor:
        """A reused buffer for one tile, by name."""
        shape = block.rows.stop - block.rows.start, block.columns.stop - block.columns.start
        if name not in self.spare:
            most = min(self.edge, len(self.a.ids)) * min(self.edge, len(self.b.ids))
            self.spare[name] = self.a.unit.new_empty(most, dtype=wide_type(self.a.unit.dtype))
        return self.spare[name][: shape[0] * shape[1]].view(shape)

    def logits(self, block: Tile, scale: float | Tensor, mask: Mask | None) -> Tensor:
        """scale · cosine of a tile, `LOW` where hidden; overwritten by the next call."""
        x, y = float16.scaled(self.a.unit[block.rows], scale), self.b.unit[block.columns]
        logits = float16.product(x, y.T, self.buffer("logits", block))
        return logits if mask is None or mask.hidden is None else logits.masked_fill_(mask.hidden, LOW)

    def mask(self, block: Tile) -> Mask | None:
        """Of a tile that may hold a positive or hidden pair; None for one that holds none."""
        (rows, columns, _), a, b = block, self.a, self.b
        if a.seen is None and a.ids.ndim == 1 and not _overlap(a.ids[rows], b.ids[columns]):
            return None
        positive, hidden = equal(a.ids[rows], b.ids[columns]), None
        if a.seen is not None and b.seen is not None:
            hidden = ~(a.seen[rows, None] & b.seen[columns])
        if self.exclude_self:
            itself = (a.place[rows, None] + a.first) == (b.place[columns] + b.first)
            hidden = itself if hidden is None else hidden | itself
        if hidden is not None:
            positive &= ~hidden
        return Mask(positive.to(wide_type(a.unit.dtype)), hidden)


def _overlap(x: Tensor, y: Tensor) -> bool:
    # ids are sorted: ranges that do not meet have no id in common
    return bool(x[0] <= y[-1]) and bool(y[0] <= x[-1])


def _slices(count: int, edge: int) -> Iterator[slice]:
    return (slice(first, min(first + edge, count)) for first in range(0, count, edge))
