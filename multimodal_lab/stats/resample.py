"""Bootstrap interval and permutation null of any statistic of two paired spaces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from multimodal_lab.stats.exchange import Exchange

Statistic = Callable[[np.ndarray, np.ndarray], float]
Parts = Callable[[np.ndarray, np.ndarray], np.ndarray]
Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Through:
    """A statistic that sees each space (N, D) through a matrix of its samples (N, N) alone, such as a kernel.

    Where rows are permuted the matrix goes along, and need not be made again.
    """

    matrix: Callable[[np.ndarray], np.ndarray]
    of: Statistic

    def __call__(self, x: np.ndarray, y: np.ndarray) -> float:
        """The statistic of two spaces."""
        return self.of(self.matrix(x), self.matrix(y))


@dataclass(frozen=True)
class Resampled:
    """value; low, high: bootstrap interval; p: one-sided, by permuting groups; null: the mean without pairing; n rows."""

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
    draws: int = 200,
    permutations: int = 199,
    level: float = 0.95,
    seed: int = 0,
) -> Resampled:
    """A statistic of x (N, D) and y (N, E), whose row i is one sample, with its interval and permutation null.

    Interval: half of the groups (None: of the samples) drawn without replacement, `draws` times. A half's scatter about
    the mean of halves is that of the whole about the truth (half-sampling, Efron 1982; delete-half jackknife, Shao & Wu
    1989). A bootstrap with replacement would put the same row in twice: its own nearest neighbour in both spaces.
    Null: whole groups of y permuted among those of one size (see `exchange.Exchange`: some rows are left out of it where
    sizes differ), p = (1 + how many are at least as large) / (1 + permutations). NaN where there are 0 draws or
    permutations; p and null are NaN with fewer than 7 groups too.
    """

    def alone(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.array([statistic(a, b)])

    parts: Parts = alone
    if isinstance(statistic, Through):
        parts, (x, y) = _through(statistic, *_two_spaces(x, y)), (np.arange(len(x))[:, None],) * 2
    found = resampled_parts(parts, x, y, groups, draws=draws, permutations=permutations, level=level, seed=seed)
    return found[0]


def _through(statistic: Through, x: np.ndarray, y: np.ndarray) -> Parts:
    """The statistic of rows (M, 1) of x, in order, and of y: the matrices of the rows that were permuted last are available."""
    at_hand = {np.arange(len(x)).tobytes(): (statistic.matrix(x), statistic.matrix(y))}

    def parts(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        i, j = a[:, 0].astype(int), b[:, 0].astype(int)
        key = i.tobytes()
        if key not in at_hand and (i == j).all():
            return np.array([statistic(x[i], y[j])])
        if key not in at_hand:
            at_hand.clear()
            at_hand[key] = statistic.matrix(x[i]), statistic.matrix(y[i])
        k, m = at_hand[key]
        place = np.searchsorted(i, j)
        return np.array([statistic.of(k, m[np.ix_(place, place)])])

    return parts


def resampled_parts(
    statistic: Parts,
    x: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    draws: int = 200,
    permutations: int = 199,
    level: float = 0.95,
    seed: int = 0,
) -> list[Resampled]:
    """As `resampled`, for a statistic that gives several numbers (P,) at once."""

    def one_by_one(pairs: Iterable[Pair]) -> list[np.ndarray]:
        return [statistic(a, b) for a, b in pairs]

    return resampled_together(one_by_one, x, y, groups, draws=draws, permutations=permutations, level=level, seed=seed)


def resampled_together(
    statistics: Callable[[Iterable[Pair]], Sequence[np.ndarray]],
    x: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    draws: int = 200,
    permutations: int = 199,
    level: float = 0.95,
    seed: int = 0,
) -> list[Resampled]:
    """The same for one that is quicker of many pairs of spaces at once: pairs (M) to numbers, M times (P,)."""
    x, y = _two_spaces(x, y)
    index = np.unique(np.arange(len(x)) if groups is None else np.asarray(groups), return_inverse=True)[1]
    count = int(index.max()) + 1
    if count < 4:
        raise ValueError(f"{count} groups, expected 4 or more: half of fewer says nothing of the scatter")
    draw = np.random.default_rng(seed)

    exchange = Exchange(index)
    permutations = permutations if len(exchange.rows) else 0

    def pairs() -> Iterator[Pair]:
        yield x, y
        for rows in [_half(index, count, draw) for _ in range(draws)]:
            yield x[rows], y[rows]
        if permutations:
            paired = x[exchange.rows]
            # p compares like with like: the value over the rows that take part in the permutations, not over all
            yield paired, y[exchange.rows]
            for _ in range(permutations):
                yield paired, y[exchange.draw(draw)]

    value, *rest = statistics(pairs())
    halves, nulls = _stacked(rest[:draws], len(value)), _stacked(rest[draws + 1 :], len(value))
    off = np.quantile(halves - halves.mean(0), [(1 - level) / 2, (1 + level) / 2], axis=0)
    p = np.full(len(value), np.nan)
    if permutations:
        # the tolerance keeps an equal value from counting as lower by rounding; a NaN has no p
        p = (1 + (nulls >= rest[draws] - 1e-12).sum(0)) / (1 + permutations)
        p[np.isnan(value) | np.isnan(rest[draws])] = np.nan
    low, high, null = value + off[0], value + off[1], nulls.mean(0)
    found = np.stack([value, low, high, p, null], 1).tolist()
    return [Resampled(v, lower, upper, chance, apart, len(x)) for v, lower, upper, chance, apart in found]


def _stacked(found: Sequence[np.ndarray], width: int) -> np.ndarray:
    return np.array(found) if found else np.full((1, width), np.nan)


def _half(index: np.ndarray, groups: int, draw: np.random.Generator) -> np.ndarray:
    taken = np.zeros(groups, bool)
    taken[draw.permutation(groups)[: groups // 2]] = True
    return np.flatnonzero(taken[index])


def _two_spaces(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise ValueError(f"spaces are {x.shape} and {y.shape}, expected (N, D) and (N, E) of the same samples")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("spaces hold NaN or infinite values; leave out the samples that lack a modality")
    return x, y
