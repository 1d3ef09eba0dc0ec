"""How many keys score at least a bar: a product in low precision decides nearly all, a double-precision one the rest."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

_ROWS, _KEYS = 512, 2048  # a tile of 4 MB in fp32 whatever N and M are
_WIDE = 16  # times as many of each on an accelerator: 1 GB, which hides the host's part
_DOTS = 1 << 18  # entries of the rows gathered at once for single products
# Share of a tile beyond which single products cost more than the tile in the next precision
_SHARE = {torch.bfloat16: 1 / 256, torch.float32: 1 / 32}
_SURE = 0.3  # distance from 1/2 beyond which a clamped score has been decided


def at_least(a: Tensor, b: Tensor, bars: Tensor, skip: Tensor, filters: Sequence[torch.dtype] | None = None) -> Tensor:
    """How many rows of b (M, D), but for those in skip_i, have an inner product with a_i of at least bars_ij: (R, P).

    a (R, D); bars (R, P) float64, infinite where none is asked; skip (R, S) int64, rows of b, -1 for none. Counts are
    those of double-precision products whatever the precision of `filters`, which are tried in turn (default: bf16 where
    the processor is quick at it, then fp32): the margin around a bar covers the filter's rounding, and what falls
    inside is multiplied again. Memory is that of one tile.
    """
    counts = torch.zeros_like(bars, dtype=torch.int64)
    reach = a.double().norm(dim=1, keepdim=True) * b.norm(dim=1).amax().double()
    left = list(_quick(a.device) if filters is None else filters)
    height, width = (min(edge * (1 if a.is_cpu else _WIDE), len(x)) for edge, x in ((_ROWS, a), (_KEYS, b)))
    room = _Room(a, height * width)
    for start in range(0, len(a), height):
        rows = slice(start, start + height)
        block = _Block(a[rows], bars[rows], reach[rows], room)
        places = _places(skip[rows], len(b), width)
        for i in range(0, len(b), width):
            keys, found, skipped = b[i : i + width], None, places[i // width]
            while left and (found := block.count(keys, skipped, left[0])) is None:
                left.pop(0)  # scores crowd around the bars: the next tiles would come to the same
            counts[rows] += block.exact(keys, skipped) if found is None else found
    return counts


def _places(skip: Tensor, keys: int, edge: int) -> list[Tensor]:
    """For each tile of `edge` keys, where in its scores (R, C), flattened, the skipped ones are; from skip (R, S)."""
    row, column = (skip >= 0).nonzero().unbind(1)
    key = skip[row, column]
    order = key.argsort()
    row, key = row[order], key[order]
    tile = key // edge
    width = (keys - tile * edge).clamp(max=edge)
    tiles = -(-keys // edge)
    counts = torch.bincount(tile, minlength=tiles).tolist()
    return list(torch.split(row * width + key % edge, counts))


def _quick(device: torch.device) -> Sequence[torch.dtype]:
    """bf16 first where the processor multiplies it faster than fp32."""
    if device.type == "cuda" or (device.type == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16")):
        return torch.bfloat16, torch.float32
    return (torch.float32,)


def dots(a: Tensor, b: Tensor, rows: Tensor, keys: Tensor) -> Tensor:
    """Inner products (K,) float64 of a[rows] and b[keys], both (K,), a few at a time."""
    step = max(1, _DOTS // a.shape[1])
    parts = zip(torch.split(rows, step), torch.split(keys, step), strict=True)
    found: list[Tensor] = [torch.linalg.vecdot(a[i].double(), b[j].double()) for i, j in parts]
    return torch.cat(found) if found else a.new_zeros(0, dtype=torch.float64)


def slack(a: Tensor, b: Tensor) -> Tensor:
    """By how much equal double-precision products of a (R, D) and any row of b may differ by rounding, (R, 1)."""
    longest: Tensor = a.double().norm(dim=1, keepdim=True) * b.norm(dim=1).amax().double()
    return longest * (2 * a.shape[1] * 2.0**-53)


class _Room:
    """Memory of a tile for each precision, used again: fresh pages would cost a fifth of the product."""

    def __init__(self, like: Tensor, size: int) -> None:
        self.like, self.size = like, size
        self.kept: dict[torch.dtype, Tensor] = {}

    def __call__(self, dtype: torch.dtype, rows: int, keys: int) -> Tensor:
        if dtype not in self.kept:
            self.kept[dtype] = torch.empty(self.size, dtype=dtype, device=self.like.device)
        return self.kept[dtype][: rows * keys].view(rows, keys)


class _Block:
    """A tile's rows: scores are scaled and shifted so that 0 is surely below a bar, 1 surely above, between unsure."""

    def __init__(self, a: Tensor, bars: Tensor, reach: Tensor, room: _Room) -> None:
        self.a, self.bars, self.reach, self.room = a, bars, reach, room
        self._scaled: tuple[torch.dtype, Tensor, Tensor] | None = None

    def count(self, keys: Tensor, skipped: Tensor, dtype: torch.dtype) -> Tensor | None:
        """Counts (R, P) over keys (C, D) less those skipped (places in R x C); None if the filter leaves too many unsure."""
        scaled, bias = self._filter(dtype)
        scores = torch.mm(scaled, keys.to(dtype).T, out=self.room(dtype, len(self.a), len(keys)))
        if dtype != torch.float32:
            scores = self.room(torch.float32, len(self.a), len(keys)).copy_(scores)
        scores.view(-1).index_fill_(0, skipped, -torch.inf)
        counts = torch.empty_like(self.bars, dtype=torch.int64)
        for j in range(counts.shape[1]):
            last = j == counts.shape[1] - 1
            z = torch.sub(scores, bias[:, j, None], out=scores if last else None).clamp_(0, 1)
            column = self._column(z, keys, j, _SHARE[dtype])
            if column is None:
                return None
            counts[:, j] = column
        return counts

    def exact(self, keys: Tensor, skipped: Tensor) -> Tensor:
        """Counts (R, P) over keys (C, D) less those skipped in double precision."""
        scores = self.a.double() @ keys.double().T
        scores.view(-1).index_fill_(0, skipped, -torch.inf)
        return torch.stack([(scores >= bar[:, None]).sum(1) for bar in self.bars.T], 1)

    def _filter(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        if self._scaled is None or self._scaled[0] != dtype:
            # inputs and output rounded once each, the bar once, D products accumulated in single precision
            unit = torch.finfo(dtype).eps / 2
            if dtype == torch.float32 and torch.get_float32_matmul_precision() != "highest":
                unit = 2.0**-9  # torch may then round the inputs to TF32 or bf16
            margin = self.reach * (3.1 * unit + (self.a.shape[1] + 4) * 2.0**-24)
            width = (4 * margin).clamp(min=torch.finfo(torch.float32).tiny)
            bias = (self.bars / width - 0.5).float()
            self._scaled = dtype, (self.a.double() / width).to(dtype), bias
        return self._scaled[1:]

    def _column(self, z: Tensor, keys: Tensor, j: int, share: float) -> Tensor | None:
        total = z.sum(1)
        counts = total.round().long()
        # z - z^2 is 0 where the score is decided
        unsure = (total - torch.linalg.vector_norm(z, dim=1).square() > 0.05).nonzero()[:, 0]
        if not len(unsure):
            return counts
        z = z[unsure].sub_(0.5)
        pairs = _marked(z.abs().lt_(_SURE))
        if len(pairs) > share * z.shape[1] * len(counts):
            return None
        counts[unsure] = z.ge_(_SURE).sum(1).long()
        rows = unsure[pairs[:, 0]]
        reached = dots(self.a, keys, rows, pairs[:, 1]) >= self.bars[rows, j]
        return counts.index_add_(0, rows, reached.long())


def _marked(flags: Tensor) -> Tensor:
    """Row and column (K, 2) of the ones in flags (R, C) of 0 and 1, few: a reduction is 30 times faster than a search."""
    group = 32
    flags = F.pad(flags, (0, -flags.shape[1] % group)).view(len(flags), group, -1)
    some = flags.amax(1).nonzero()
    which = flags[some[:, 0], :, some[:, 1]].nonzero()
    row, column = some[which[:, 0]].unbind(1)
    return torch.stack([row, which[:, 1] * flags.shape[2] + column], 1)
