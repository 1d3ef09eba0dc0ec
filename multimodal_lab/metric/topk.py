"""The k keys of the largest inner product, exactly and in tiles: nothing N x M is held."""

from __future__ import annotations

import torch
from torch import Tensor

_ROWS, _KEYS = 512, 2048  # a tile of 4 MB, as in `counting`
_WIDE = 16  # times as many of each on an accelerator


def topk(queries: Tensor, keys: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Scores (Q, K) float32 and rows of `keys` (Q, K) int64, best first; K = min(k, M).

    queries (Q, D), keys (M, D) on one device; unit rows for cosine. Scores are single-precision products. Of equal scores the
    lower row stands first, whatever the tiles are. ValueError where widths differ or k is below 1.
    """
    if queries.shape[1] != keys.shape[1]:
        raise ValueError(f"queries have width {queries.shape[1]} and keys {keys.shape[1]}: search needs one space")
    if k < 1:
        raise ValueError(f"k={k}: expected a whole number from 1")
    k = min(k, len(keys))
    scores = torch.empty(len(queries), k, device=queries.device)
    rows = torch.empty(len(queries), k, dtype=torch.int64, device=queries.device)
    high, wide = (edge * (1 if queries.is_cpu else _WIDE) for edge in (_ROWS, _KEYS))
    room = torch.empty(min(high, len(queries)) * min(wide, len(keys)), device=queries.device)
    for start in range(0, len(queries), high):
        part = slice(start, start + high)
        scores[part], rows[part] = _of_rows(queries[part].float(), keys, k, wide, room)
    return scores, rows


def _of_rows(x: Tensor, keys: Tensor, k: int, wide: int, room: Tensor) -> tuple[Tensor, Tensor]:
    """The best of all tiles so far (R, k), from one tile to the next."""
    best = torch.full((len(x), k), -torch.inf, device=x.device)
    rows = torch.zeros(len(x), k, dtype=torch.int64, device=x.device)
    for first in range(0, len(keys), wide):
        tile = keys[first : first + wide]
        scores = room[: len(x) * len(tile)].view(len(x), len(tile))
        torch.mm(x, tile.float().T, out=scores)
        # of a later tile only what is larger than the k-th so far counts: few rows after the first tiles
        new = (scores.amax(1) > best[:, -1]).nonzero()[:, 0]
        if len(new):
            own, place = _largest(scores[new], min(k, len(tile)))
            both, at = torch.cat([best[new], own], 1), torch.cat([rows[new], place + first], 1)
            order = both.argsort(dim=1, descending=True, stable=True)[:, :k]
            best[new], rows[new] = both.gather(1, order), at.gather(1, order)
    return best, rows


def _largest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row (R, k), the lower column first among equals, which `torch.topk` does not promise."""
    found = scores.topk(k, dim=1)
    place = found.indices.sort(1).values
    values = scores.gather(1, place)
    order = values.argsort(dim=1, descending=True, stable=True)
    values, place = values.gather(1, order), place.gather(1, order)
    # where the k-th has an equal outside, topk may have taken the wrong one of them
    tied = ((scores >= values[:, -1:]).sum(1) > k).nonzero()[:, 0]
    if len(tied):
        whole = scores[tied].argsort(dim=1, descending=True, stable=True)[:, :k]
        place[tied], values[tied] = whole, scores[tied].gather(1, whole)
    return values, place
