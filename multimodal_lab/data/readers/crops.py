"""Blocks of overlapping crops: crops of two blocks share no pixel, so that a split by blocks does not leak."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pandas as pd

BLOCKS = 20  # of a whole set, about: enough for shares of 70, 10 and 20 %
Cuts = Callable[[tuple[np.ndarray, np.ndarray]], tuple[np.ndarray, np.ndarray]]
LEAST = 3  # a train, a validation and a test part


def blocks(
    starts: tuple[np.ndarray, np.ndarray], size: tuple[int, int], wanted: int, side: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The block of each crop, by its place down and across: two arrays of numbers, -1 where a crop crosses two blocks.

    starts: the first pixels of crops down and across, ascending; size: pixels of a crop. wanted: how many blocks are
    enough. There are as many as leave at least half of the crops in one, else the three that a split needs; of equal counts
    those that leave most. side: of a block in pixels, about, in place of that count.
    """
    counts = [len(own) for own in starts]
    gaps = [_gap(own, length) for own, length in zip(starts, size)]
    most = [(count + gap) // (1 + gap) for count, gap in zip(counts, gaps)]
    if side is not None:
        extents = [int(own[-1]) + length for own, length in zip(starts, size)]
        down, across = (min(max(1, round(extent / side)), top) for extent, top in zip(extents, most))
        return _runs(counts[0], gaps[0], down), _runs(counts[1], gaps[1], across)

    def worth(parts: tuple[int, int]) -> tuple[int, int]:
        kept = (counts[0] - gaps[0] * (parts[0] - 1)) * (counts[1] - gaps[1] * (parts[1] - 1))
        return min(parts[0] * parts[1], wanted if 2 * kept >= counts[0] * counts[1] else LEAST), kept

    few = [range(1, min(top, wanted) + 1) for top in most]
    down, across = max(product(few[0], few[1]), key=worth)
    return _runs(counts[0], gaps[0], down), _runs(counts[1], gaps[1], across)


def grid(tops: np.ndarray, lefts: np.ndarray, cuts: Cuts, here: str) -> pd.DataFrame:
    """A row a crop: `id`, `top`, `left` and `block`, None where it crosses two; names begin with `here`."""
    down, across = cuts((tops, lefts))
    home = [f"{here}{a}_{b}" if min(a, b) >= 0 else None for a in down for b in across]
    top, left = np.repeat(tops, len(lefts)), np.tile(lefts, len(tops))
    ids = [f"{here}{t}_{x}" for t, x in zip(top, left)]
    return pd.DataFrame({"id": ids, "top": top, "left": left, "block": home})


def crossing(home: pd.Series, what: str) -> str:
    """What a run should know of the blocks of its crops, missing where one crosses two."""
    lone, count = int(home.isna().sum()), home.nunique()
    return (
        f"{what} overlap: {count} blocks share no pixel; {lone} of {len(home)} cross two and are in no split by blocks"
    )


def _gap(starts: np.ndarray, length: int) -> int:
    """The most crops that lie between two that share no pixel."""
    return int((np.searchsorted(starts, starts + length) - np.arange(len(starts)) - 1).max())


def _runs(count: int, gap: int, parts: int) -> np.ndarray:
    """`count` crops in a row as `parts` runs of about one length, with `gap` crops of none (-1) between them."""
    kept = count - gap * (parts - 1)
    made: list[int] = []
    for part in range(parts):
        made += [part] * (kept * (part + 1) // parts - kept * part // parts) + [-1] * gap
    return np.array(made[:count])
