"""Jackknife interval and permutation null of any statistic of two paired spaces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from multimodal_lab.stats.exchange import LEAST, Exchange
from multimodal_lab.stats.grouped import numbered
from multimodal_lab.stats.jackknife import BLOCKS, blocks, jackknife

Statistic = Callable[[np.ndarray, np.ndarray, np.ndarray], float]
"""Of x (N, D), y (N, E) and whole group numbers (N,)."""
Sample = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Through:
    """The sum of products of two matrices (N, N), one of each space (N, D) alone, such as a kernel; made with the groups (N,).

    Where groups are permuted the second matrix goes along, and none need be made again.
    """

    first: Callable[[np.ndarray, np.ndarray], np.ndarray]
    second: Callable[[np.ndarray, np.ndarray], np.ndarray]

    def __call__(self, x: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> float:
        """The statistic of two spaces; groups (N,), None: each row is one."""
        index = numbered(groups, len(x))
        return float(np.vdot(self.first(x, index), self.second(y, index)))


@dataclass(frozen=True)
class Resampled:
    """value; low, high: interval, NaN where none is told; p: one-sided, by permuting groups; null: the mean of these; n rows."""

    value: float
    low: float
    high: float
    p: float
    null: float
    n: int


def resampled(
    statistic: Statistic,
    x: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    interval: bool = True,
    permutations: int = 199,
    level: float = 0.95,
    seed: int = 0,
) -> Resampled:
    """A statistic of x (N, D) and y (N, E), whose row i is one sample, with its interval and permutation null.

    Interval: t times the jackknife's standard error, leaving out one group (None: one sample) or, of more than 40, one lot of
    them at a time (see `jackknife`); of a statistic whose mean does not depend on how many groups there are it holds its level
    (docs/overlap.md has the rates). Null: whole groups of y permuted among those of one size (see `exchange.Exchange`: some
    rows are left out of it where sizes differ), p = (1 + how many are at least as large) / (1 + permutations). NaN without an
    interval or with 0 permutations, and with fewer than 7 groups.
    """

    def one_by_one(samples: Iterable[Sample]) -> list[np.ndarray]:
        return [np.array([found(*sample)]) for sample in samples]

    found: Statistic = statistic
    if isinstance(statistic, Through):
        found, (x, y) = _through(statistic, *two_spaces(x, y)), (np.arange(len(x))[:, None],) * 2
    return resampled_together(
        one_by_one, x, y, groups, interval=interval, permutations=permutations, level=level, seed=seed
    )[0]


def _through(statistic: Through, x: np.ndarray, y: np.ndarray) -> Statistic:
    """The statistic of rows (M, 1) of x, in order, and of y: the matrices of the rows that were permuted last are available."""
    at_hand: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}

    def of(a: np.ndarray, b: np.ndarray, index: np.ndarray) -> float:
        i, j = a[:, 0].astype(int), b[:, 0].astype(int)
        if (key := i.tobytes()) not in at_hand:
            at_hand.clear()
            at_hand[key] = statistic.first(x[i], index), statistic.second(y[i], index)
        k, m = at_hand[key]
        place = np.searchsorted(i, j)
        return float(np.vdot(k, m[np.ix_(place, place)]))

    return of


def resampled_together(
    statistics: Callable[[Iterable[Sample]], Sequence[np.ndarray]],
    x: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    interval: bool = True,
    lots: int = BLOCKS,
    corrected: bool = False,
    permutations: int = 199,
    level: float = 0.95,
    seed: int = 0,
) -> list[Resampled]:
    """The same for one that is quicker of many pairs of spaces at once, or gives several numbers: M samples to M times (P,).

    corrected: values are the jackknife's, less the bias that falls as 1 / groups, and the variance has the square of that bias
    added, which is known no better than to its own size; NaN with fewer than 7 groups. lots: so many are left out at most.
    """
    x, y = two_spaces(x, y)
    index = numbered(groups, len(x))
    draw, exchange = np.random.default_rng(seed), Exchange(index)
    permutations = permutations if len(exchange.rows) else 0
    block = blocks(index, lots)
    left_out = range(int(block.max()) + 1) if interval and len(np.unique(index)) >= LEAST else range(0)

    def samples() -> Iterator[Sample]:
        yield x, y, index
        for lot in left_out:
            yield _kept(x, y, index, block != lot)
        if permutations:
            own = numbered(index[exchange.rows], len(exchange.rows))
            # p compares like with like: the value over the rows that take part in the permutations, not over all
            paired = x[exchange.rows]
            yield paired, y[exchange.rows], own
            for _ in range(permutations):
                yield paired, y[exchange.draw(draw)], own

    value, *rest = statistics(samples())
    low, high = np.full((2, len(value)), np.nan)
    if left_out:
        groups_of = np.array([len(np.unique(index[block == lot])) for lot in left_out])
        found = jackknife(value, np.array(rest[: len(left_out)]), groups_of)
        if corrected:
            found, value = replace(found, se=np.hypot(found.se, value - found.corrected)), found.corrected
        low, high = value - found.reach(level), value + found.reach(level)
    elif corrected:
        value = np.full(len(value), np.nan)
    p, null = np.full((2, len(value)), np.nan)
    if permutations:
        own, nulls = rest[len(left_out)], np.array(rest[len(left_out) + 1 :])
        # the tolerance keeps an equal value from counting as lower by rounding; a NaN has no p
        p = (1 + (nulls >= own - 1e-12).sum(0)) / (1 + permutations)
        p[np.isnan(value) | np.isnan(own)] = np.nan
        null = nulls.mean(0)
    told = np.stack([value, low, high, p, null], 1).tolist()
    return [Resampled(v, lower, upper, chance, without, len(x)) for v, lower, upper, chance, without in told]


def _kept(x: np.ndarray, y: np.ndarray, index: np.ndarray, rows: np.ndarray) -> Sample:
    return x[rows], y[rows], numbered(index[rows], int(rows.sum()))


def two_spaces(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64; ValueError unless they are (N, D) and (N, E) and finite."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise ValueError(f"spaces are {x.shape} and {y.shape}, expected (N, D) and (N, E) of the same samples")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("spaces hold NaN or infinite values; leave out the samples that lack a modality")
    return x, y
