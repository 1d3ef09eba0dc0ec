"""Paired differences of two arms, by seed, split and group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

Reach = Callable[[int], float]


@dataclass(frozen=True)
class Samples:
    """By how much an arm is worse, and better, on every sample that was tested: lost and won (N,), at least 0.

    Each is a mean over seeds and over the splits that test the sample, as is `square` (N,), of the squared difference.
    index (N,): the place of the sample's group in `Paired.names`.
    """

    lost: np.ndarray
    won: np.ndarray
    square: np.ndarray
    index: np.ndarray


@dataclass(frozen=True)
class Paired:
    """Summed differences of two arms over the test samples of every seed, split and group.

    sums (S, R, G): arm minus baseline, summed over the samples of a group; counts (R, G): how many samples of the group
    stand in the test part of the split; names (G,): the groups. arms (2, S, R, G): the sums of the baseline's and of the arm's
    own scores, whose difference `sums` is; samples: the differences of single samples; both None where they are not known.
    strata: of a score over classes, for each of these how much of the score it holds and its own differences, from which the
    degrees of freedom and the floor of `rare` follow. uneven: that few groups may move the mean more than the others do, so that
    every claim takes the degrees of freedom of `crossed.fewest_df`.
    """

    sums: np.ndarray
    counts: np.ndarray
    names: np.ndarray
    arms: np.ndarray | None = None
    samples: Samples | None = None
    strata: tuple[tuple[float, Paired], ...] = ()
    uneven: bool = False

    @property
    def each(self) -> list[Paired]:
        """Baseline and arm alone, as differences from 0; the pair itself where they are not known."""
        return [self] if self.arms is None else [Paired(own, self.counts, self.names) for own in self.arms]

    @property
    def runs(self) -> np.ndarray:
        """Mean difference of every seed and split, (S, R): each a mean over test samples."""
        means: np.ndarray = self.sums.sum(2) / self.counts.sum(1)
        return means

    @property
    def mean(self) -> float:
        """Mean over seeds and splits of the mean over test samples."""
        return float(self.runs.mean())

    @property
    def shares(self) -> np.ndarray:
        """The weight of every group in the mean, (G,), summing to 1."""
        shares: np.ndarray = (self.counts / self.counts.sum(1, keepdims=True)).mean(0)
        return shares

    @property
    def effective_groups(self) -> float:
        """How many equal groups the unequal ones count as (Carter, Schnepel & Steigerwald 2017)."""
        return 1 / float((self.shares**2).sum())

    @property
    def by_group(self) -> np.ndarray:
        """What every group gives to the mean, (G,), summing to the mean."""
        parts: np.ndarray = (self.sums.mean(0) / self.counts.sum(1, keepdims=True)).mean(0)
        return parts

    @property
    def by_seed(self) -> np.ndarray:
        """Mean difference of every seed over the splits, (S,)."""
        means: np.ndarray = self.runs.mean(1)
        return means

    @property
    def by_split(self) -> np.ndarray:
        """Mean difference of every split over the seeds, (R,)."""
        means: np.ndarray = self.runs.mean(0)
        return means


def paired(baseline: np.ndarray, arm: np.ndarray, groups: np.ndarray | None = None) -> Paired:
    """The paired differences arm - baseline.

    baseline, arm (S, R, N): the score of every sample (1 correct, 0 wrong, or any number) by seed and split; NaN where
    the sample is not in the test part of that split. groups (N,): which samples belong together; None: each stands for
    itself. A class-balanced mean is the mean of scores multiplied by N / (classes x samples of the class).
    Raises ValueError where arms, seeds or splits are not paired: a difference of unequal test parts is no difference.
    """
    baseline, arm = np.asarray(baseline, float), np.asarray(arm, float)
    if baseline.ndim != 3 or baseline.shape != arm.shape:
        raise ValueError(f"scores are {baseline.shape} and {arm.shape}, expected two equal (seeds, splits, samples)")
    groups = np.arange(baseline.shape[2]) if groups is None else np.asarray(groups)
    if groups.shape != baseline.shape[2:]:
        raise ValueError(f"groups are {groups.shape}, expected one for each of {baseline.shape[2]} samples")
    tested = ~np.isnan(baseline)
    _refuse_unequal(tested, ~np.isnan(arm))
    names, index = np.unique(groups, return_inverse=True)
    order = np.argsort(index, kind="stable")
    # -1 before it, so that the first group starts, too
    starts = np.flatnonzero(np.diff(index[order], prepend=-1))
    apart, times = np.nan_to_num(arm - baseline), tested[0].sum(0)
    sums, *arms = (np.add.reduceat(np.nan_to_num(x)[..., order], starts, axis=2) for x in (apart, baseline, arm))
    counts = np.add.reduceat(tested[0][:, order].astype(float), starts, axis=1)
    parts = (np.maximum(-apart, 0), np.maximum(apart, 0), apart**2)
    lost, won, square = (x.mean(0).sum(0)[times > 0] / times[times > 0] for x in parts)
    return Paired(sums, counts, names, np.stack(arms), Samples(lost, won, square, index[times > 0]))


def stratified(
    pairs: Paired, baseline: np.ndarray, arm: np.ndarray, groups: np.ndarray, strata: np.ndarray, reach: Reach
) -> Paired:
    """The same pairs with the differences of every class beside them.

    baseline, arm (S, R, N): what each sample shows by itself, see `stats.score.Score.each`; strata (N,): the class of each;
    reach: how much of the score one of so many classes holds. Classes that stand in one group are left
    out, as they are of the score.
    """
    found = []
    for k in np.unique(strata):
        rows = strata == k
        tested = (~np.isnan(baseline[0][:, rows])).any(1)
        if tested.any() and len(np.unique(groups[rows])) > 1:
            own = paired(baseline[:, tested][:, :, rows], arm[:, tested][:, :, rows], groups[rows])
            found.append(own)
    return replace(pairs, strata=tuple((reach(len(found)), own) for own in found))


def _refuse_unequal(baseline: np.ndarray, arm: np.ndarray) -> None:
    if len(unequal := np.argwhere((baseline != arm).any(2))):
        seed, split = unequal[0]
        found = f"{baseline[seed, split].sum()} and {arm[seed, split].sum()}"
        raise ValueError(
            f"seed {seed}, split {split}: the arms have {found} test samples, or others; expected the same"
        )
    if len(unequal := np.argwhere((baseline != baseline[:1]).any(2))):
        seed, split = unequal[0]
        raise ValueError(
            f"split {split}: seed {seed} has other test samples than seed 0; expected every seed on every split"
        )
    if len(empty := np.flatnonzero(~baseline[0].any(1))):
        raise ValueError(f"split {empty[0]} has no test samples")
