"""Count keys with a score of at least a threshold: float32 product first, float64 only for close calls."""

from __future__ import annotations

import torch
from torch import Tensor

_ROWS, _KEYS = 512, 2048  # a tile of 4 MB, used again: fresh pages would cost a fifth of the product
_WIDE = 16  # times as many of each on an accelerator: 1 GB, which hides the host's part
_DOTS = 1 << 18  # numbers of the rows gathered at once for single products
_SHARE = 1 / 32  # of a tile that is unsure, beyond which single products cost more than the tile in double precision


def at_least(a: Tensor, b: Tensor, bars: Tensor, skip: Tensor) -> Tensor:
    """How many rows of b (M, D), but for those in skip_i, have an inner product with a_i of at least bars_ij: (R, P).

    a (R, D); bars (R, P) float64, infinite where none is asked; skip (R, S) int64, rows of b, -1 for none. Counts are
    those of double-precision products. Memory is that of one tile.
    """
    counts = torch.zeros_like(bars, dtype=torch.int64)
    # Inputs and bar rounded once each, D products accumulated; with other settings torch may round to TF32 or bf16.
    unit = 2.0**-24 if torch.get_float32_matmul_precision() == "highest" else 2.0**-9
    margin = 3.1 * unit + (a.shape[1] + 4) * 2.0**-24  # of scores in [-1, 1]
    reach = _reach(a, b).clamp(min=1e-300)
    high, wide = (edge * (1 if a.is_cpu else _WIDE) for edge in (_ROWS, _KEYS))
    room = torch.empty(2, min(high, len(a)) * min(wide, len(b)), device=a.device)
    for rows in torch.split(torch.arange(len(a), device=a.device), high):
        x, hide, bar, scaled = a[rows], skip[rows], bars[rows], (a[rows].double() / reach[rows]).float()
        for first in range(0, len(b), wide):
            keys = b[first : first + wide]
            scores, spare = (r[: len(x) * len(keys)].view(len(x), len(keys)) for r in room)
            torch.mm(scaled, keys.float().T, out=scores)
            i, j = ((hide >= first) & (hide < first + wide)).nonzero().unbind(1)
            hidden = i, hide[i, j] - first
            # what is skipped is below every bar
            scores[hidden] = -torch.inf
            for p in range(bars.shape[1]):
                # a score this close to the bar may have been rounded over it: it is multiplied again in double precision
                near = torch.stack([bar[:, p] / reach[rows, 0] + m for m in (-margin, margin)])[..., None].float()
                counts[rows, p] += _count(x, keys, scores, spare, hidden, bar[:, [p]], near)
    return counts


def _count(
    a: Tensor, keys: Tensor, scores: Tensor, spare: Tensor, hidden: tuple[Tensor, ...], bar: Tensor, near: Tensor
) -> Tensor:
    """Of one tile, by one bar a row (R, 1): scores below near[0] and from near[1] on are decided, those between are not."""
    low, sure = near
    counts = torch.ge(scores, sure, out=spare).sum(1)  # floats, whose sum is thrice as fast as that of bools
    unsure = (torch.ge(scores, low, out=spare).sum(1) > counts).nonzero()[:, 0]
    row, key = ((scores[unsure] >= low[unsure]) & (scores[unsure] < sure[unsure])).nonzero().unbind(1)
    if len(row) > _SHARE * scores.numel():
        exact = a.double() @ keys.double().T
        exact[hidden] = -torch.inf
        return (exact >= bar).sum(1)
    row = unsure[row]
    return counts.long().index_add_(0, row, (dots(a, keys, row, key) >= bar[row, 0]).long())


def dots(a: Tensor, b: Tensor, rows: Tensor, keys: Tensor) -> Tensor:
    """Inner products (K,) float64 of a[rows] and b[keys], both (K,), a few at a time."""
    step = max(1, _DOTS // a.shape[1])
    parts = zip(torch.split(rows, step), torch.split(keys, step), strict=True)  # of no rows: one part of none
    return torch.cat([torch.linalg.vecdot(a[i].double(), b[j].double()) for i, j in parts])


def slack(a: Tensor, b: Tensor) -> Tensor:
    """By how much equal double-precision products of a (R, D) and any row of b may differ by rounding, (R, 1)."""
    return _reach(a, b) * (2 * a.shape[1] * 2.0**-53)


def _reach(a: Tensor, b: Tensor) -> Tensor:
    longest: Tensor = a.double().norm(dim=1, keepdim=True) * b.norm(dim=1).amax().double()
    return longest
