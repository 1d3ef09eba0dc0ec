"""Near copies among images: the likest few of each, laid over each other, and compared by what is left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from multimodal_lab.data.audit.candidates import CENTRE, Cells, grey, placed, turned, turned_windows, windows
from multimodal_lab.data.audit.membership import Parts
from multimodal_lab.data.audit.registration import aligned, likeness
from multimodal_lab.data.audit.signature import SIDE
from multimodal_lab.progress import Bar, track

LIKEST = 24  # candidates of each image, at most a tenth of the base
FEWEST = 4
HOPEFUL = 0.4  # cosine from which a candidate is looked at
LEARNT = 4096  # training images that the mean is learnt from, evenly spaced
QUERIES = 1024  # at a time
PAIRS = 2048
STILL = 3  # of 255, by which neighbouring pixels of a plain ground differ
COMPONENTS = 8  # of the training images, at most one for 20
WHOLE = 0.92  # correlation of what not all share, and
FINE = 0.75  # of fine detail, from which two images count as copies, where
APART = 0.8  # times their variance is the most by which any place differs: frames of one camera differ where an animal stands
# windows of the base and of the query that are compared: the whole with all, and what is shifted with the middle
ASKED = [*((w, (9, CENTRE)) for w in range(9)), (9, tuple(range(10)))]


@dataclass(frozen=True)
class Found:
    """held, first (K,): rows, each with its likest of an earlier part; alike (K,): their correlation; view (K,): how turned."""

    held: np.ndarray
    first: np.ndarray
    alike: np.ndarray
    view: np.ndarray


@dataclass(frozen=True)
class Pairs:
    """first, held (n,): rows. view (n,): of the held one. start (n, 2, 3): where the first one's points lie in it, about."""

    first: np.ndarray
    held: np.ndarray
    view: Tensor
    start: Tensor

    def take(self, kept: np.ndarray) -> Pairs:
        """Some of them."""
        at = torch.from_numpy(kept)
        return Pairs(self.first[kept], self.held[kept], self.view[at], self.start[at])


def near(thumbs: np.ndarray, usable: np.ndarray, content: np.ndarray, parts: Parts) -> Found:
    """Near copies in an earlier part of images (N, C, 32, 32) uint8: turned, mirrored, cropped, shifted, in grey.

    usable (N,): there, and not blank; content (N,): rows of equal content are no near copies, and are compared once, so that many
    rows of one image don't crowd out other candidates. Time grows about as different N, memory by some 3 KB an image.
    """
    best, fine = np.zeros(len(thumbs)), np.zeros(len(thumbs))
    partner, view = np.full(len(thumbs), -1), np.zeros(len(thumbs), dtype=np.int64)
    train = _different(parts.rows("train")[usable[parts.rows("train")]], content)
    shared = learnt(thumbs, train) if len(train) > 1 else None
    for place in range(len(parts.names) - 1 if shared is not None else 0):
        assert shared is not None
        every = np.flatnonzero((parts.home > place) & usable)
        base = _different(np.flatnonzero((parts.home == place) & usable), content)
        query = _different(every, content)
        for pairs in candidates(thumbs, base, query) if len(base) and len(query) else ():
            pairs = pairs.take(np.flatnonzero(content[pairs.first] != content[pairs.held]))
            whole, detail = compared(thumbs, pairs, shared)
            for k in np.argsort(-whole, kind="stable")[: int((whole > 0).sum())].tolist():
                row = pairs.held[k]
                if whole[k] > best[row]:
                    best[row], fine[row], partner[row], view[row] = whole[k], detail[k], pairs.first[k], pairs.view[k]
        _, first, which = np.unique(content[every], return_index=True, return_inverse=True)
        same = every[first[which]]  # the row of `query` that each stands for
        to = best[same] > best[every]
        for own in (best, fine, partner, view):
            own[every[to]] = own[same[to]]
    held = np.flatnonzero((partner >= 0) & (best >= WHOLE) & (fine >= FINE))
    return Found(held, partner[held], best[held], view[held])


def _different(rows: np.ndarray, content: np.ndarray) -> np.ndarray:
    """The first of the ascending `rows` with each content."""
    return rows[np.sort(np.unique(content[rows], return_index=True)[1])]


def plain(thumbs: np.ndarray) -> np.ndarray:
    """(n,): the share of each image (n, C, 32, 32) uint8 in which neighbouring pixels are the same, nearly."""
    x = thumbs.astype(int)
    down, across = (np.abs(np.diff(x, axis=axis)).max(1)[:, : SIDE - 1, : SIDE - 1] for axis in (2, 3))
    still: np.ndarray = (np.maximum(down, across) <= STILL).mean((1, 2))
    return still


def learnt(thumbs: np.ndarray, train: np.ndarray) -> Tensor:
    """(K, C, 32, 32): the mean training image and the first components: pose, background, kinds tell no image apart."""
    some = train[np.linspace(0, len(train) - 1, min(LEARNT, len(train))).astype(int)]
    x = _images(thumbs, some)
    mean, count = x.mean(0, keepdim=True), min(COMPONENTS, len(some) // 20)
    if not count:
        return mean
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        axes = torch.svd_lowrank((x - mean).flatten(1), q=count + 4, niter=2)[2][:, :count]
    return torch.cat([mean, axes.T.reshape(count, *x.shape[1:]) * len(axes) ** 0.5])


def _images(thumbs: np.ndarray, rows: np.ndarray) -> Tensor:
    return torch.from_numpy(thumbs[rows]).float() / 255


def candidates(thumbs: np.ndarray, base: np.ndarray, query: np.ndarray) -> Iterator[Pairs]:
    """The likest rows of the base for each query over all its views and windows, some queries at a time."""
    count = min(LIKEST, max(FEWEST, len(base) // 10))
    best = torch.full((len(query), count), -2.0)
    key = torch.full((len(query), count), -1)
    small, asked = (
        torch.cat([windows(grey(_images(thumbs, some))) for some in _parts(rows, 8192)]) for rows in (base, query)
    )
    mean = small[:, 9].mean(0)
    starts = range(0, len(query), QUERIES)
    with Bar("looking for near copies", len(ASKED) * len(starts)) as bar:
        for i, (window, others) in enumerate(ASKED):
            cells = Cells(F.normalize((small[:, window] - mean).flatten(1)))
            for j, start in enumerate(starts, 1):
                some = slice(start, start + QUERIES)
                cosine, found = _asked(asked[some], cells, window, others, mean, count)
                best[some], key[some] = _best(
                    torch.cat([best[some], cosine], 1), torch.cat([key[some], found], 1), count
                )
                bar.update(i * len(starts) + j)
    for start in track(starts, "laying the likest over each other", len(starts)):
        row, column = torch.nonzero(best[start : start + QUERIES] >= HOPEFUL, as_tuple=True)
        own = key[start + row, column]
        yield Pairs(
            base[(own // 800).numpy()], query[start + row.numpy()], own // 100 % 8, placed(own // 10 % 10, own % 10)
        )


def _asked(
    query: Tensor, cells: Cells, window: int, others: tuple[int, ...], mean: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """(Q, count) cosines and keys (row of the base, view, both windows) of the likest of each query by one window of the base."""
    own = torch.stack([x[:, list(others)] for x in turned_windows(query)], 1)  # (Q, 8, windows, 8, 8)
    cosine, at = cells.likest(F.normalize((own - mean).flatten(3), dim=3).flatten(0, 2), count)
    key = at.view(*own.shape[:3], count) * 800 + 10 * window + torch.tensor(others)[:, None]
    key = key + 100 * torch.arange(8)[:, None, None]
    return _best(cosine.view(len(query), -1), torch.where(at.view_as(key) >= 0, key, -1).flatten(1), count)


def _best(cosine: Tensor, key: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest cosines of each row, of one pair in one view once."""
    cosine, order = cosine.sort(dim=1, descending=True, stable=True)
    key = key.gather(1, order)
    ranked, order = (key // 100).sort(dim=1, stable=True)
    again = F.pad(ranked[:, 1:] == ranked[:, :-1], (1, 0))
    again = torch.zeros_like(again).scatter(1, order, again)
    cosine, order = torch.where(again | (key < 0), -2.0, cosine).topk(count, dim=1)
    return cosine, key.gather(1, order)


def compared(thumbs: np.ndarray, pairs: Pairs, shared: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(n,) correlations, of what not all share and of fine detail, of each pair laid over each other."""
    whole, fine = np.zeros(len(pairs.first)), np.zeros(len(pairs.first))
    for some in _parts(np.arange(len(pairs.first)), PAIRS):
        own = pairs.take(some)
        fixed, moving = _images(thumbs, own.first), turned(_images(thumbs, own.held), own.view)
        matrix, hopeful = aligned(grey(fixed), grey(moving), grey(shared), own.start)
        if not hopeful.any():
            continue
        kept = some[hopeful.numpy()]
        *found, apart = likeness(fixed[hopeful], moving[hopeful], matrix, shared)
        whole[kept], fine[kept] = (torch.where(apart <= APART, x, 0.0).numpy() for x in found)
    return whole, fine


def _parts(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (rows[start : start + size] for start in range(0, len(rows), size))
