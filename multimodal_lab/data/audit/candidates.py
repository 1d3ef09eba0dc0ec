"""The likest images of an earlier part for each of a later one, turned, mirrored, shifted or cropped, in near linear time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

COARSE = 8  # pixels a side of what is compared
INNER = 0.9  # part of the side that a window shows
STARTS = (0.0, 0.05, 0.1)  # where it begins, across and down
CENTRE = 4  # the number of the middle one of these 9; the last, 9, is the whole image
LUMA = (
    0.299,
    0.587,
    0.114,
)  # of three bands: what image libraries make grey of, so that a grey copy is like its original
CELL = 512  # images of a cell, about
PROBED = 4  # cells that an image is looked for in
LEARNT = 50  # images a cell from which the cells are learnt
ROUNDS = 8  # of Lloyd's algorithm
AT_ONCE = 1 << 22  # products held at once


def views(x: Tensor) -> Iterator[Tensor]:
    """The eight ways to turn and mirror square images (n, …, S, S); the first is as they are."""
    for mirrored in (x, x.flip(-1)):
        for turns in range(4):
            yield torch.rot90(mirrored, turns, (-2, -1))


def turned(x: Tensor, view: Tensor) -> Tensor:
    """Each image (n, …, S, S) in its own of the eight `views` (n,)."""
    made = torch.empty_like(x)
    for number, one in enumerate(views(x)):
        made[view == number] = one[view == number]
    return made


def grey(x: Tensor) -> Tensor:
    """(n, S, S) of images (n, C, S, S)."""
    return torch.einsum("ncij,c->nij", x, torch.tensor(LUMA)) if x.shape[1] == len(LUMA) else x.mean(1)


def windows(x: Tensor) -> Tensor:
    """(n, 10, 8, 8) of grey images (n, S, S): nine windows, row by row, and the whole, each without its mean and contrast."""
    cuts = torch.stack([_cut(x.shape[-1], start, INNER) for start in STARTS])
    inner = torch.einsum("ais,nst,bjt->nabij", cuts, x, cuts).flatten(1, 2)
    whole = _cut(x.shape[-1], 0.0, 1.0)
    found = torch.cat([inner, (whole @ x @ whole.T)[:, None]], 1)
    found = found - found.mean((2, 3), keepdim=True)
    return found / found.square().mean((2, 3), keepdim=True).sqrt().clamp_min(1e-3)


def turned_windows(found: Tensor) -> Iterator[Tensor]:
    """The windows (n, 10, 8, 8) of each of the eight views: a window turns, and so does its place."""
    grid = found[:, :9].reshape(-1, 3, 3, *found.shape[2:])
    for mirrored, whole in ((grid, found[:, 9:]), (grid.flip(-1).flip(2), found[:, 9:].flip(-1))):
        for turns in range(4):
            inner = torch.rot90(torch.rot90(mirrored, turns, (-2, -1)), turns, (1, 2))
            yield torch.cat([inner.flatten(1, 2), torch.rot90(whole, turns, (-2, -1))], 1)


def placed(fixed: Tensor, moving: Tensor) -> Tensor:
    """(n, 2, 3): where a point of an image lies in another, if its window `fixed` (n,) shows what `moving` does there."""
    zoom, at = [], []
    for number in (fixed, moving):
        inner = number < 9
        zoom.append(torch.where(inner, INNER, 1.0))
        starts = torch.tensor([*STARTS, 0.0])
        place = torch.stack([torch.where(inner, number % 3, 3), torch.where(inner, number // 3, 3)], 1)
        at.append(2 * starts[place] + zoom[-1][:, None] - 1)
    scale = zoom[1] / zoom[0]
    return torch.cat([scale[:, None, None] * torch.eye(2), (at[1] - scale[:, None] * at[0])[..., None]], 2)


class Cells:
    """Directions (N, W) sorted into cells, so that the likest are looked for in a few of them (an inverted file: Jégou,
    Douze & Schmid 2011). Up to 2,048 images are one cell, and the search is exact."""

    def __init__(self, base: Tensor, seed: int = 0) -> None:
        count = len(base) // CELL if len(base) > PROBED * CELL else 1
        some = torch.randperm(len(base), generator=torch.Generator().manual_seed(seed))[: LEARNT * count]
        self.centres = base[some[:count]]
        for _ in range(ROUNDS if count > 1 else 0):
            own = _nearest(base[some], self.centres)
            sums = torch.zeros_like(self.centres).index_add_(0, own, base[some])
            self.centres = F.normalize(torch.where(sums.norm(dim=1, keepdim=True) > 0, sums, self.centres))
        home = _nearest(base, self.centres)
        self.order = torch.argsort(home, stable=True)
        self.ends = torch.bincount(home, minlength=count).cumsum(0).tolist()
        self.sorted = base[self.order]

    def likest(self, query: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """(Q, count) cosines, falling, and places in the base; -1 where there are fewer."""
        best = torch.full((len(query), count), -2.0)
        at = torch.full((len(query), count), -1)
        probed = (query @ self.centres.T).topk(min(PROBED, len(self.centres)), dim=1).indices
        for cell, end in enumerate(self.ends):
            start = self.ends[cell - 1] if cell else 0
            rows = torch.nonzero((probed == cell).any(1))[:, 0]
            for some in torch.split(rows, max(1, AT_ONCE // max(1, end - start))) if end > start else ():
                near, where = (query[some] @ self.sorted[start:end].T).topk(min(count, end - start), dim=1)
                near = torch.cat([best[some], near], 1)
                where = torch.cat([at[some], self.order[start + where]], 1)
                best[some], kept = near.topk(count, dim=1)
                at[some] = where.gather(1, kept)
        return best, at


def _nearest(x: Tensor, centres: Tensor) -> Tensor:
    return torch.cat([(some @ centres.T).argmax(1) for some in torch.split(x, max(1, AT_ONCE // len(centres)))])


@lru_cache(maxsize=16)
def _cut(size: int, start: float, part: float) -> Tensor:
    """(8, size): means over eight equal pieces of a part of the side."""
    edges = (start + part * torch.arange(COARSE + 1) / COARSE) * size
    pixel = torch.arange(size)
    low, high = (torch.maximum(torch.minimum(edges[k:, None], pixel + 1), pixel) for k in (0, 1))
    overlap = high[:COARSE] - low[:COARSE]
    return overlap / overlap.sum(1, keepdim=True)
