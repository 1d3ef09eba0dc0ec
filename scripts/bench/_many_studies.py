"""Many simulated studies at once: their sums by group, and the study's test of every one of them.

A study has four arms (baseline, fused arm, two controls), each drawn once and scored at several shifts of its latent score,
so that every world of a table takes the same draws. `tests/stats/test_stats_calibration.py` holds the test to `crossed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class World:
    """Standard deviations of the latent score's parts, and the shape of the test part."""

    name: str
    suits: float = 0.5
    seed: float = 0.15
    both: float = 0.3
    train: float = 0.0
    groups: int = 24
    spread: float = 1.0
    splits: int = 1
    share: float = 0.25

    @property
    def ratio(self) -> float | None:
        """Test samples per training sample; None with one split."""
        return self.share / (1 - self.share) if self.splits > 1 else None


WORLDS = (
    World("groups and seeds matter"),
    World("groups matter much", suits=1.0, seed=0.05),
    World("seeds matter much", suits=0.1, seed=0.5),
    World("neither matters", suits=0.0, seed=0.0, both=0.0),
    World("8 groups, very unequal", groups=8, spread=1.2),
    World("60 groups", groups=60),
    World("3 splits, 40 groups", groups=40, splits=3, train=0.15),
    World("5 splits, 40 groups", groups=40, splits=5, train=0.15),
    World("5 splits, training part rules", groups=40, splits=5, train=0.4),  # beyond what the test can promise
)


@dataclass(frozen=True)
class Studies:
    """sums[arm, shift] (K, S, R, G) of right answers of K studies; counts (K, R, G) of samples."""

    world: World
    sums: dict[tuple[int, float], np.ndarray]
    counts: np.ndarray

    def test(self, low: tuple[int, float], high: tuple[int, float]) -> Tests:
        """The study's test of one arm and shift against another, in every study."""
        return test(self.sums[low], self.sums[high], self.counts, self.world.ratio)


def draw_studies(world: World, seeds: int, studies: int, shifts: Sequence[float], first: int = 0) -> Studies:
    """A sample is right where the sum of what `calibration` tells of is above 0; `shifts` are added to it."""
    draw = np.random.default_rng([first, seeds])
    shape = (seeds, world.splits, world.groups)
    sums = {(arm, shift): np.empty((studies, *shape), np.int16) for arm in range(4) for shift in shifts}
    counts = np.empty((studies, *shape[1:]), np.int16)
    for i in range(studies):
        size = np.maximum(1, np.round(draw.lognormal(2.0, world.spread, world.groups))).astype(int)
        groups, starts = np.repeat(np.arange(world.groups), size), np.cumsum(size) - size
        hard = 0.7 + draw.normal(size=world.groups)[groups] + draw.normal(size=len(groups))
        tested = test_parts(world, draw)
        counts[i] = tested * size
        for arm in range(4):
            suits = world.suits * draw.normal(size=world.groups)
            luck = world.seed * draw.normal(size=(*shape[:2], 1))
            both = world.both * draw.normal(size=shape)
            helps = world.train * draw.normal(size=world.groups)
            train = np.array([helps[~t].sum() / max(1, (~t).sum()) ** 0.5 for t in tested])[None, :, None]
            noise = draw.standard_normal((*shape[:2], len(groups)), dtype=np.float32)
            latent = noise + (hard + (suits + luck + both + train)[:, :, groups]).astype(np.float32)
            for shift in shifts:
                sums[arm, shift][i] = np.add.reduceat(latent > -shift, starts, axis=2, dtype=np.int16) * tested
    return Studies(world, sums, counts)


def test_parts(world: World, draw: np.random.Generator) -> np.ndarray:
    """Which groups a split tests, (R, G); all of them with one split."""
    tested = np.zeros((world.splits, world.groups), bool)
    for part in tested:
        part[draw.permutation(world.groups)[: round(world.share * world.groups)]] = True
    return tested if world.splits > 1 else np.ones_like(tested)


@dataclass(frozen=True)
class Tests:
    """Mean difference, standard error, degrees of freedom and two-sided p of K studies, and by seed and group."""

    mean: np.ndarray
    se: np.ndarray
    df: np.ndarray
    p: np.ndarray
    runs: np.ndarray
    by_group: np.ndarray

    @property
    def above(self) -> np.ndarray:
        """One-sided p of a mean above 0."""
        return np.where(self.mean > 0, self.p / 2, 1 - self.p / 2)

    @property
    def oracle(self) -> np.ndarray:
        """z with the true standard error, that of these studies' means."""
        return self.mean / self.mean.std()


def test(low: np.ndarray, high: np.ndarray, counts: np.ndarray, ratio: float | None) -> Tests:
    """`crossed` of K studies; low, high (K, S, R, G): sums of two arms."""
    low, high, counts = (x.astype(float) for x in (low, high, counts))
    seeds, splits = low.shape[1:3]
    whole, apart = counts.sum(2, keepdims=True), high - low
    runs = apart.sum(3) / whole[:, None, :, 0]
    mean = runs.mean((1, 2))
    own = [_own_seeds(x, counts) for x in (low, high)]
    seed, both = own[0][0] + own[1][0], own[0][1] + own[1][1]
    seed_df = np.where(seed > 0, (seeds - 1) * seed**2 / _safe(own[0][0] ** 2 + own[1][0] ** 2), seeds - 1)
    left = whole - counts
    there, sums = left > 0, apart.mean(1)
    means = ((sums.sum(2, keepdims=True) - sums) / np.where(there, left, 1) * there).sum(1)
    means = np.where(there.any(1) & counts.any(1), means / _safe(there.sum(1)), np.nan)
    jackknife = (~np.isnan(means)).sum(1)
    group = (jackknife - 1) / jackknife * np.nansum((means - mean[:, None]) ** 2, axis=1)
    group_df = 1 / ((counts / whole).mean(1) ** 2).sum(1) - 1
    more, fixed = np.maximum(seed - both, 0), np.maximum(group - both, 0)
    spent = both**2 / (seed_df * group_df) + (more > 0) * seed**2 / seed_df + (fixed > 0) * group**2 / group_df
    least, variance = np.minimum(seed_df, group_df), both + more + fixed
    if ratio is not None:
        folds = (1 / splits + ratio) * runs.mean(1).var(1, ddof=1)
        beyond = np.maximum(folds - np.maximum(group, both), 0)
        variance, spent = variance + beyond, spent + folds * beyond / (splits - 1)
        least = np.where(beyond > 0, np.minimum(least, splits - 1), least)
    df = np.where(variance > 0, np.maximum(variance**2 / _safe(spent), least), group_df)
    se = variance**0.5
    sign = np.where(mean == 0, 1.0, np.minimum(1.0, 2.0**-group_df))
    p = np.where(se > 0, 2 * stats.t.sf(np.abs(mean) / _safe(se), df), sign)
    return Tests(mean, se, df, p, runs, (sums / whole).mean(1))


def _own_seeds(sums: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The variances of one arm's mean from its seeds, and from seed and group together, (K,) each."""
    seeds, splits = sums.shape[1:3]
    whole = counts.sum(2)
    runs = sums.sum(3) / whole[:, None]
    parts = ((sums - runs[..., None] * counts[:, None]) / whole[:, None, :, None]).sum(2) / splits
    both = ((parts - parts.mean(1, keepdims=True)) ** 2).sum((1, 2)) / (seeds * (seeds - 1))
    return runs.mean(2).var(1, ddof=1) / seeds, both


def _safe(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 1)
