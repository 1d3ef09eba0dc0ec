"""Tiled losses on a GPU: Triton kernels for the logits, torch for the products of derivatives with rows."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from multimodal_lab.device import triton
from multimodal_lab.loss.tiled import float16
from multimodal_lab.loss.tiled.accumulators import Anchors, Sums
from multimodal_lab.loss.tiled.rows import Side
from multimodal_lab.loss.tiled.tiles import Tile, Tiles

SUMMED, PULLED = 16384, 8192
"""Rows and columns of a tile: of the first pass, which stores sums alone, and of the second, which stores derivatives."""

EDGES = {torch.float16: (128, 128, 64), torch.float32: (64, 64, 32)}
WARPS = {torch.float16: 8, torch.float32: 4}
"""Rows, columns and width that a program has at a time, and its warps: of the choices tried on an H200 the quickest."""


class GpuRows(NamedTuple):
    """Some rows as the kernels read them: unit (M, D), ids (M,), seen (M,) bool, place (M,) over all ranks."""

    unit: Tensor
    ids: Tensor
    seen: Tensor
    place: Tensor

    @classmethod
    def of(cls, side: Side) -> GpuRows:
        """All rows of a side."""
        seen = torch.ones_like(side.ids, dtype=torch.bool) if side.seen is None else side.seen
        return cls(side.unit.contiguous(), side.ids.contiguous(), seen.contiguous(), side.place + side.first)

    def at(self, rows: slice) -> GpuRows:
        """Some of the rows."""
        return GpuRows(*(x[rows] for x in self))


class Fused:
    """`softmax.Softmax` by kernels: one comparison, its scale, and which pairs stand in the denominator."""

    bounded = False

    def __init__(self, tiles: Tiles, scale: float | Tensor, decoupled: bool) -> None:
        self.tiles, self.decoupled = tiles, decoupled
        self.work = _Work(tiles, scale)

    def first(self, rows: Sums, columns: Sums) -> None:
        """Sum every tile into its anchors."""
        for block in self.tiles.by(SUMMED):
            found = self.work.first(block, self.tiles.exclude_self, self.decoupled)
            for sums, at, parts in zip((rows, columns), block[:2], found):
                self.work.merge(sums, at, parts)

    def second(self, rows: Anchors, columns: Anchors, grad_a: Tensor, grad_b: Tensor) -> None:
        """Add the gradient with respect to unit rows, over the scale, to grad_a (N, D) and grad_b (M, D)."""
        for block in self.tiles.by(PULLED):
            pulled = self.work.second(block, rows, columns, self.tiles.exclude_self, self.decoupled)
            self.work.pull(block, pulled, grad_a, grad_b)


class Questions:
    """The sigmoid loss of each tile for `siglip`, by kernels."""

    def __init__(self, tiles: Tiles, scale: float | Tensor, bias: float | Tensor, lift: float) -> None:
        self.tiles, self.lift = tiles, lift
        self.work = _Work(tiles, scale)
        self.bias = _number(bias, tiles.a.unit)

    def answer(self, told: Tensor, grads: tuple[Tensor, Tensor] | None) -> None:
        """Add to told (3,) the loss and its bias' derivative and, where given, to the gradients of unit rows over the scale."""
        for block in self.tiles.by(PULLED):
            found, pulled = self.work.sigmoid(block, self.bias, self.lift)
            kept, slope = found.sum(0)
            told[0] -= kept
            told[1] += slope
            if grads is not None:
                self.work.pull(block, pulled, *grads)


class _Work:
    """The kernels' launches."""

    def __init__(self, tiles: Tiles, scale: float | Tensor) -> None:
        self.a = GpuRows.of(tiles.a)
        self.b = self.a if tiles.a is tiles.b else GpuRows.of(tiles.b)
        self.scale = _number(scale, self.a.unit)
        dtype = self.a.unit.dtype
        high, wide, deep = EDGES[dtype]
        # torch's own word for how a float32 product may be rounded; three TF32 products are as good as one of float32
        exact = "tf32x3" if torch.get_float32_matmul_precision() == "highest" else "tf32"
        self.high, self.wide = high, wide
        self.how: dict[str, Any] = {
            "BM": high, "BN": wide, "BK": deep, "GROUP": 8, "PRECISION": exact,
            "num_warps": WARPS[dtype], "num_stages": _stages(self.a.unit),
        }  # fmt: skip
        self.room: Tensor | None = None

    def first(self, block: Tile, itself: bool, decoupled: bool) -> list[Tensor]:
        a, b = self.a.at(block.rows), self.b.at(block.columns)
        m, n, d = len(a.ids), len(b.ids), a.unit.shape[1]
        found = [self.scale.new_empty(-(-n // self.wide), 5, m)]
        if block.both:
            found.append(self.scale.new_empty(-(-m // self.high), 5, n))
        _launch("first", self._grid(m, n), a.unit, b.unit, self.scale, *a[1:], *b[1:], found[0], found[-1], m, n, d,
                ITSELF=itself, BOTH=block.both, DECOUPLED=decoupled, **self.how)  # fmt: skip
        return found

    def merge(self, sums: Sums, at: slice, parts: Tensor) -> None:
        count, edge = parts.shape[2], 128
        _launch("merge", -(-count // edge), parts, len(parts), sums.shift[at], sums.totals[:, at], sums.totals.stride(0), count,
                B=edge, num_warps=4)  # fmt: skip

    def second(self, block: Tile, rows: Anchors, columns: Anchors, itself: bool, decoupled: bool) -> Tensor:
        a, b = self.a.at(block.rows), self.b.at(block.columns)
        m, n, d = len(a.ids), len(b.ids), a.unit.shape[1]
        out = self._out(m, n)
        anchors = (*(x[block.rows] for x in rows), *(x[block.columns] for x in columns))
        _launch("second", self._grid(m, n), a.unit, b.unit, self.scale, *a[1:], *b[1:], *anchors, out, m, n, d,
                ITSELF=itself, DECOUPLED=decoupled, **self.how)  # fmt: skip
        return out

    def sigmoid(self, block: Tile, bias: Tensor, lift: float) -> tuple[Tensor, Tensor]:
        a, b = self.a.at(block.rows), self.b.at(block.columns)
        m, n, d = len(a.ids), len(b.ids), a.unit.shape[1]
        out, told = self._out(m, n), self.scale.new_empty(self._grid(m, n), 2)
        _launch("sigmoid", self._grid(m, n), a.unit, b.unit, self.scale, bias, *a[1:3], *b[1:3], told, out, lift, m, n, d,
                **self.how)  # fmt: skip
        return told, out

    def pull(self, block: Tile, pulled: Tensor, grad_a: Tensor, grad_b: Tensor) -> None:
        """Multiply derivatives (m, n) with the rows of the other side."""
        float16.add_product(grad_a[block.rows], pulled, self.b.unit[block.columns])
        if block.both:
            float16.add_product(grad_b[block.columns], pulled.T, self.a.unit[block.rows])

    def _grid(self, m: int, n: int) -> int:
        return -(-m // self.high) * -(-n // self.wide)

    def _out(self, m: int, n: int) -> Tensor:
        if self.room is None:
            self.room = self.a.unit.new_empty(min(PULLED, len(self.a.ids)) * min(PULLED, len(self.b.ids)))
        return self.room[: m * n].view(m, n)


def _launch(name: str, programs: int, *arguments: Any, **how: Any) -> None:
    from multimodal_lab.loss.tiled import triton_kernels

    triton.launch(getattr(triton_kernels, name), programs, *arguments, **how)


def _number(x: float | Tensor, like: Tensor) -> Tensor:
    """A number as the kernels read it, (1,) float32 on the device, which is not waited for."""
    if isinstance(x, Tensor):
        return x.detach().float().reshape(1)
    return torch.full((1,), x, dtype=torch.float32, device=like.device)


def _stages(x: Tensor) -> int:
    """How many steps of a product are loaded ahead: what fits in the memory of a multiprocessor."""
    if not x.is_cuda:
        return 2
    roomy = torch.cuda.get_device_properties(x.device).shared_memory_per_block_optin > 150_000
    return {torch.float16: 4, torch.float32: 3}[x.dtype] if roomy else 2


def wanted(x: Tensor) -> bool:
    """Whether rows x are compared by the kernels: float16 or float32 on a GPU that multiplies both in tensor cores."""
    return (
        x.is_cuda
        and x.dtype in EDGES
        and torch.cuda.get_device_capability(x.device) >= (8, 0)
        and _works(x.device, x.dtype)
    )


@lru_cache(maxsize=16)
def _works(device: torch.device, dtype: torch.dtype) -> bool:
    two = torch.arange(2, device=device)
    side = Side(torch.eye(2, 16, dtype=dtype, device=device), two, two, two >= 0)
    sums, task = Sums(side, False), Fused(Tiles(side, side, one_way=True), 1.0, False)
    return triton.works("a contrastive loss", lambda: task.first(sums, sums))
