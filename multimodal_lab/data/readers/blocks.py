"""Block splits of a scene: disjoint blocks, patches inside them, whole blocks assigned to splits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from multimodal_lab.data.source import DataError


class Blocks:
    """A grid of near-equal blocks of about `side` pixels over (height, width), numbered by rows in `ids` (H, W)."""

    def __init__(self, height: int, width: int, side: int) -> None:
        self._down, self._across = _cuts(height, side), _cuts(width, side)
        down = np.repeat(np.arange(len(self._down) - 1), np.diff(self._down))
        across = np.repeat(np.arange(len(self._across) - 1), np.diff(self._across))
        self.ids: np.ndarray = down[:, None] * (len(self._across) - 1) + across

    def need(self, patch: int) -> None:
        """Refuse (`DataError`) a patch that a block can't mirror: its half must be smaller than the smallest block."""
        smallest = int(min(np.diff(self._down).min(), np.diff(self._across).min()))
        if patch // 2 >= smallest:
            raise DataError(
                f"data.source.patch: {patch} is too large for blocks of {smallest} pixels, at most {2 * smallest - 1}"
            )

    def window(self, row: int, column: int, patch: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns (patch,) of the patch centred at a pixel, mirrored at the edges of its block."""
        return _mirrored(row, patch, self._down), _mirrored(column, patch, self._across)

    def inner(self, rows: np.ndarray, columns: np.ndarray, patch: int) -> np.ndarray:
        """(n,) bool: which pixels have their whole patch in their block."""
        return np.asarray(_whole(rows, patch, self._down) & _whole(columns, patch, self._across))


def assign(ids: np.ndarray, classes: np.ndarray, shares: Mapping[str, float], seed: int) -> dict[int, str]:
    """{block: split} so that every class has about its share of pixels in each split.

    After Sechidis et al. 2011 (iterative stratification): the class left in the fewest blocks goes first, and each of
    its blocks to the split that lacks the class altogether, else to the one furthest below its share of it. Blocks
    without a label go to train. `seed` orders blocks of like size. ids, classes: (H, W).
    """
    if abs(sum(shares.values()) - 1) > 1e-6 or shares["train"] == 0:
        raise DataError(f"data.source: train, val and test must add up to 1 with some train, got {dict(shares)}")
    names = [name for name, share in shares.items() if share > 0]
    share = np.array([shares[name] for name in names])
    counts = np.zeros((ids.max() + 1, classes.max() + 1))
    np.add.at(counts, (ids.ravel(), classes.ravel()), 1)
    counts = counts[:, 1:]
    order = np.random.default_rng(seed).permutation(len(counts))
    goal = share[:, None] * counts.sum(0)
    given = np.zeros_like(goal)
    home: dict[int, str] = {int(b): names[0] for b in np.flatnonzero(counts.sum(1) == 0)}
    while len(home) < len(counts):
        left = [int(b) for b in order if int(b) not in home]
        spread = (counts[left] > 0).sum(0)
        rarest = int(np.where(spread > 0, spread, np.iinfo(np.int64).max).argmin())
        # The largest blocks of the class first, in powers of two: what is small evens out the rest.
        block = max((b for b in left if counts[b, rarest]), key=lambda b: int(np.log2(counts[b, rarest])))
        short = (goal - given)[:, rarest] / np.maximum(goal[:, rarest], 1e-9)
        lacking = given[:, rarest] == 0
        best = max(
            range(len(names)), key=lambda s: (lacking[s], share[s] if lacking[s] else short[s], (goal - given)[s].sum())
        )
        given[best] += counts[block]
        home[block] = names[best]
    return home


def _cuts(length: int, side: int) -> np.ndarray:
    count = max(1, round(length / side))
    return np.array([length * i // count for i in range(count + 1)])


def _mirrored(centre: int, patch: int, cuts: np.ndarray) -> np.ndarray:
    at = int(np.searchsorted(cuts, centre, side="right")) - 1
    low, high = int(cuts[at]), int(cuts[at + 1]) - 1
    wanted = centre - patch // 2 + np.arange(patch)
    wanted = np.where(wanted < low, 2 * low - wanted, wanted)
    return np.asarray(np.where(wanted > high, 2 * high - wanted, wanted))


def _whole(centres: np.ndarray, patch: int, cuts: np.ndarray) -> np.ndarray:
    at = np.searchsorted(cuts, centres, side="right") - 1
    first = centres - patch // 2
    return np.asarray((first >= cuts[at]) & (first + patch <= cuts[at + 1]))
