"""Count keys with a score of at least a threshold: float32 product first, float64 only for close calls."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_ROWS, _KEYS = 1024, 2048  # a tile of 8 MB, used again: fresh pages would cost a fifth of the product
_WIDE = (8, 16)  # times as many of each on an accelerator: 1 GB, which hides the host's part
_DOTS = 1 << 18  # numbers of the rows gathered at once for single products
_SHARE = 1 / 32  # of a tile that is unsure, beyond which single products cost more than the tile in double precision
_ABOVE = 1 / 16  # of a tile that is above the lowest of several bars, beyond which a pass for each bar costs less


def at_least(a: Tensor, b: Tensor, bars: Tensor, skip: Tensor) -> Tensor:
    """How many rows of b (M, D), but for those in skip_i, have an inner product with a_i of at least bars_ij: (R, P).

    a (R, D); bars (R, P) float64, infinite where none is asked; skip (R, S) int64, rows of b, -1 for none. Counts are
    those of double-precision products. Memory is that of one tile.
    """
    return _counts(a, b, bars, None, skip)[0]


def both_at_least(a: Tensor, b: Tensor, bars: Tensor, others: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
    """The same, and how many rows of a, but for those that skip b_j, reach others_jk with b_j: (R, P) and (M, K).

    others (M, K) as bars. Each product is taken once for both.
    """
    return _counts(a, b, bars, others, skip)


def _counts(a: Tensor, b: Tensor, bars: Tensor, others: Tensor | None, skip: Tensor) -> tuple[Tensor, Tensor]:
    found = torch.zeros_like(bars, dtype=torch.int64)
    theirs = found[:0] if others is None else torch.zeros_like(others, dtype=torch.int64)
    # Inputs and bar rounded once each, D products accumulated; with other settings torch may round to TF32 or bf16.
    unit = 2.0**-24 if torch.get_float32_matmul_precision() == "highest" else 2.0**-9
    margin = 3.1 * unit + (a.shape[1] + 4) * 2.0**-24  # of scores in [-1, 1]
    high, wide = (edge * (1 if a.is_cpu else more) for edge, more in zip((_ROWS, _KEYS), _WIDE))
    room = torch.empty(2, min(high, len(a)) * min(wide, len(b)), device=a.device)
    reach = _longest(a) * _longest(b)
    for start in range(0, len(a), high):
        part = slice(start, start + high)
        x, hide, bar = a[part], skip[part], bars[part]
        scaled = (x.double() / reach).float()
        for first in range(0, len(b), wide):
            keys = b[first : first + wide]
            scores, spare = (r[: len(x) * len(keys)].view(len(x), len(keys)) for r in room)
            torch.mm(scaled, keys.float().T, out=scores)
            i, j = ((hide >= first) & (hide < first + wide)).nonzero().unbind(1)
            hidden = i, hide[i, j] - first
            # what is skipped is below every bar
            scores[hidden] = -torch.inf
            found[part] += _count(x, keys, scores, spare, hidden, bar, reach, margin, 1)
            if others is not None:
                own = slice(first, first + wide)
                theirs[own] += _count(keys, x, scores, spare, hidden[::-1], others[own], reach, margin, 0)
    return found, theirs


def _count(
    x: Tensor, y: Tensor, scores: Tensor, spare: Tensor, hidden: tuple[Tensor, ...], bars: Tensor, reach: Tensor,
    margin: float, dim: int,
) -> Tensor:  # fmt: skip
    """Of one tile by the bars (R, P) of x (R, D): rows of y (K, D), along `dim` of scores, 1 for (R, K) and 0 for (K, R).

    A score this close to a bar may have been rounded over it: it is multiplied again in double precision.
    """
    low, sure = ((bars / reach + m).float() for m in (-margin, margin))
    if bars.shape[1] > 1:
        lowest = torch.where(bars < torch.inf, low, torch.inf).amin(1)
        place = _where(scores >= _along(lowest, dim))
        if len(place) <= _ABOVE * scores.numel():
            both = place // scores.shape[1], place % scores.shape[1]
            return _of_few(x, y, scores.view(-1)[place], both[1 - dim], both[dim], bars, low, sure)
    columns = zip(bars.T, low.T, sure.T)
    return torch.stack([_of_all(x, y, scores, spare, hidden, *own, dim) for own in columns], 1)


def _along(bar: Tensor, dim: int) -> Tensor:
    return bar[:, None] if dim == 1 else bar[None]


def _where(mask: Tensor) -> Tensor:
    """Places (V,) in the flattened mask; numpy finds them in a seventh of torch's time."""
    return torch.from_numpy(np.flatnonzero(mask.numpy())) if mask.is_cpu else mask.view(-1).nonzero()[:, 0]


def _of_few(
    x: Tensor, y: Tensor, values: Tensor, row: Tensor, key: Tensor, bars: Tensor, low: Tensor, sure: Tensor
) -> Tensor:
    """By every bar, of those scores that may reach any: values (V,) of x[row] and y[key]."""
    counts = torch.zeros_like(bars, dtype=torch.int64)
    for p in range(bars.shape[1]):
        above = values >= sure[row, p]
        unsure = ((values >= low[row, p]) & ~above).nonzero()[:, 0]
        counts[:, p] = torch.bincount(row[above], minlength=len(bars))
        counts[:, p].index_add_(0, row[unsure], (dots(x, y, row[unsure], key[unsure]) >= bars[row[unsure], p]).long())
    return counts


def _of_all(
    x: Tensor, y: Tensor, scores: Tensor, spare: Tensor, hidden: tuple[Tensor, ...], bar: Tensor, low: Tensor,
    sure: Tensor, dim: int,
) -> Tensor:  # fmt: skip
    """By one bar a row (R,): scores below `low` and from `sure` on are decided, those between are not."""
    counts = torch.ge(scores, _along(sure, dim), out=spare).sum(dim)  # floats, whose sum is thrice as fast as of bools
    unsure = (torch.ge(scores, _along(low, dim), out=spare).sum(dim) > counts).nonzero()[:, 0]
    own = scores.index_select(1 - dim, unsure)
    place = ((own >= _along(low[unsure], dim)) & (own < _along(sure[unsure], dim))).nonzero()
    if len(place) > _SHARE * scores.numel():
        exact = x.double() @ y.double().T
        exact[hidden] = -torch.inf
        return (exact >= bar[:, None]).sum(1)
    row, key = unsure[place[:, 1 - dim]], place[:, dim]
    return counts.long().index_add_(0, row, (dots(x, y, row, key) >= bar[row]).long())


def dots(a: Tensor, b: Tensor, rows: Tensor, keys: Tensor) -> Tensor:
    """Inner products (K,) float64 of a[rows] and b[keys], both (K,), a few at a time."""
    found = torch.empty(len(rows), dtype=torch.float64, device=a.device)
    step = max(1, _DOTS // a.shape[1])
    for first in range(0, len(rows), step):
        part = slice(first, first + step)
        found[part] = torch.linalg.vecdot(a[rows[part]].double(), b[keys[part]].double())
    return found


def slack(a: Tensor, b: Tensor) -> Tensor:
    """By how much equal double-precision products of a (R, D) and any row of b may differ by rounding, (R, 1)."""
    lengths: Tensor = a.norm(dim=1, keepdim=True).double() * (1 + 2.0**-20)
    return lengths * _longest(b) * (2 * a.shape[1] * 2.0**-53)


def _longest(x: Tensor) -> Tensor:
    """The length of the longest row, a little more than it is; never 0."""
    found: Tensor = x.norm(dim=1).amax().double() * (1 + 2.0**-20)
    return found.clamp(min=1e-150)
