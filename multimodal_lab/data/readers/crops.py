"""Blocks of overlapping crops: crops of two blocks share no pixel, so that a split by blocks does not leak."""

from __future__ import annotations

from itertools import product

import numpy as np

BLOCKS = 20  # of a whole set, about: enough for shares of 70, 10 and 20 %
LEAST = 3  # a train, a validation and a test part


def blocks(
    shape: tuple[int, int], crop: int, stride: int, wanted: int, side: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The block of each crop, by its place down and across: two arrays of numbers, -1 where a crop crosses two blocks.

    shape: pixels (H, W). wanted: how many blocks are enough. There are as many as leave at least half of the crops in one,
    else the three that a split needs; of equal counts those that leave most. side: of a block in pixels, about, in place
    of that count.
    """
    counts = [(length - crop) // stride + 1 for length in shape]
    gap = (crop - 1) // stride  # crops between two that share no pixel
    most = [(count + gap) // (1 + gap) for count in counts]
    if side is not None:
        parts = [min(max(1, round(length / side)), top) for length, top in zip(shape, most)]
        return _runs(counts[0], gap, parts[0]), _runs(counts[1], gap, parts[1])

    def worth(parts: tuple[int, int]) -> tuple[int, int]:
        kept = (counts[0] - gap * (parts[0] - 1)) * (counts[1] - gap * (parts[1] - 1))
        return min(parts[0] * parts[1], wanted if 2 * kept >= counts[0] * counts[1] else LEAST), kept

    down, across = max(product(*(range(1, min(top, wanted) + 1) for top in most)), key=worth)
    return _runs(counts[0], gap, down), _runs(counts[1], gap, across)


def _runs(count: int, gap: int, parts: int) -> np.ndarray:
    """`count` crops in a row as `parts` runs of about one length, with `gap` crops of none (-1) between them."""
    kept = count - gap * (parts - 1)
    made: list[int] = []
    for part in range(parts):
        made += [part] * (kept * (part + 1) // parts - kept * part // parts) + [-1] * gap
    return np.array(made[:count])
