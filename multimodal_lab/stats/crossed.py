"""Test and confidence interval of a mean paired difference with crossed random effects: seeds and groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from multimodal_lab.stats.folds import corrected_variance
from multimodal_lab.stats.paired import Paired
from multimodal_lab.stats.rare import least_se


@dataclass(frozen=True)
class Crossed:
    """A mean difference with its standard error, degrees of freedom, two-sided p and interval.

    fixed_variance: the part of se^2 that more seeds can't lower (groups, splits); seed_variance: the part that falls as
    1 / seeds. se is infinite (p is 1) with one seed or one group: then nothing says how far either would move the mean.
    least: an se below which nothing is detectable, see `rare`; least_df: its degrees of freedom where they are more than df.
    few_df: degrees of freedom for claims that a difference is small, see `fewest_df`; None: df.
    """

    mean: float
    se: float
    df: float
    p: float
    low: float
    high: float
    seeds: int
    splits: int
    groups: int
    seed_variance: float
    fixed_variance: float
    least: float = 0.0
    least_df: float = 0.0
    few_df: float | None = None

    @property
    def p_above(self) -> float:
        """The one-sided p of a mean above 0."""
        return self.p / 2 if self.mean > 0 else 1 - self.p / 2

    @property
    def cautious(self) -> Crossed:
        """The same with a standard error of at least `least`, for claims that a difference is detectable."""
        if self.se >= self.least:
            return self
        return replace(self, se=self.least, fixed_variance=self.least**2, seed_variance=0.0)

    def widened(self, level: float = 0.95) -> Crossed:
        """The same with the interval of `cautious` where it is wider: arms that agree on a test part may differ on others."""
        if not self.se < self.least:
            return self
        reach = self.least * float(stats.t.ppf((1 + level) / 2, max(self.df, self.least_df)))
        return replace(self, low=self.mean - reach, high=self.mean + reach)


@dataclass(frozen=True)
class Source:
    """The variance of a mean from one source, and the degrees of freedom of its estimate."""

    variance: float
    df: float


def crossed(pairs: Paired, test_per_train: float | None = None, level: float = 0.95) -> Crossed:
    """Test of the mean difference of two arms with seeds and groups as crossed random effects.

    Seeds that share a test part share its luck: a t-test over seeds takes the groups for the whole world. Here the
    variance of the mean is that of seed and group together, V_both, and what seeds and groups have beyond it: see `combined`
    (two-way clustering: Cameron, Gelbach & Miller 2011). V_seed and V_both are those of both arms, each over its own seeds:
    the seeds of two arms are different draws. V_group comes from leaving one group out (CV3: MacKinnon, Nielsen & Webb 2023),
    which holds with unequal sizes. With more than one split, what Nadeau & Bengio's variance of the splits has beyond these
    is added. t has Satterthwaite's degrees of freedom; groups have G* - 1, where G* = 1 / sum of
    squared shares counts unequal groups as fewer (Carter, Schnepel & Steigerwald 2017).

    test_per_train: test samples per training sample; needed with more than one split.
    """
    seeds, splits, groups = pairs.sums.shape
    if splits > 1 and test_per_train is None:
        raise ValueError(f"{splits} splits overlap in training: expected test_per_train (0.25 for 80/20), found none")
    if seeds < 2 or groups < 2:
        return unknown(pairs.mean, pairs.sums.shape)
    seed = seed_source(pairs.each)
    both = sum(both_variance(moved(arm)) for arm in pairs.each)
    few = fewest_df(pairs)
    group = Source(group_variance(pairs), few if pairs.uneven else group_df(pairs))
    folds = None
    if splits > 1 and test_per_train is not None:
        folds = Source(corrected_variance(pairs.by_split, test_per_train), splits - 1.0)
    found, fewer = (
        combined(pairs.mean, pairs.sums.shape, seed, both, of, folds, level) for of in (group, replace(group, df=few))
    )
    # df is then of the one or two classes or groups that differ, the floor of all: t of that df would widen it for a second time
    whole = pairs.effective_groups - 1 if pairs.strata or pairs.uneven else 0.0
    return replace(found, least=least_se(pairs), least_df=whole, few_df=fewer.df)


def seed_source(arms: Sequence[Paired]) -> Source:
    """What the seeds of all arms give to the variance of their difference, with Welch's degrees of freedom."""
    seeds = len(arms[0].sums)
    own = np.array([arm.by_seed.var(ddof=1) / seeds for arm in arms])
    whole = float(own.sum())
    return Source(whole, (seeds - 1) * whole**2 / float((own**2).sum()) if whole > 0 else seeds - 1.0)


def combined(
    mean: float,
    shape: tuple[int, ...],
    seed: Source,
    both: float,
    group: Source,
    folds: Source | None = None,
    level: float = 0.95,
) -> Crossed:
    """A mean with the variances that it has from seeds, from groups, and from seed and group together, which both contain.

    V = V_both + (V_seed - V_both) + (V_group - V_both) + (V_splits - V_group), each bracket at least 0. A source whose
    bracket is 0 costs no degrees of freedom; V_splits costs as many as its bracket has of it. shape: seeds, splits, groups.
    """
    seeds, splits, groups = shape
    more = max(seed.variance - both, 0.0)
    fixed = max(group.variance - both, 0.0)
    sources = [Source(both, seed.df * group.df), *([seed] if more else []), *([group] if fixed else [])]
    least = min(seed.df, group.df)
    if folds is not None and (beyond := folds.variance - max(group.variance, both)) > 0:
        fixed += beyond
        sources.append(Source((folds.variance * beyond) ** 0.5, folds.df))
        least = min(least, folds.df)
    variance = both + more + fixed
    if variance <= 0:
        p = 1.0 if mean == 0 else min(1.0, 2.0**-group.df)  # all groups on one side by luck: the sign test
        return Crossed(mean, 0.0, group.df, p, mean, mean, seeds, splits, groups, 0.0, 0.0)
    df = max(variance**2 / sum(s.variance**2 / s.df for s in sources), least)
    se = variance**0.5
    reach = se * float(stats.t.ppf((1 + level) / 2, df))
    p = float(2 * stats.t.sf(abs(mean) / se, df))
    return Crossed(mean, se, df, p, mean - reach, mean + reach, seeds, splits, groups, both + more, fixed)


def unknown(mean: float, shape: tuple[int, ...]) -> Crossed:
    """A mean without any information on its variance."""
    inf = float("inf")
    seeds, splits, groups = shape
    return Crossed(mean, inf, float("nan"), 1.0, -inf, inf, seeds, splits, groups, inf, inf)


def group_variance(pairs: Paired) -> float:
    """Variance of the mean from the groups, (G - 1) / G x sum of (mean without g - mean)^2; (S, R, G) with G >= 2."""
    return jackknife(without(pairs), pairs.mean)


def group_df(pairs: Paired) -> float:
    """Degrees of freedom of `group_variance`: G* - 1, and of a score over classes no more than Satterthwaite's of theirs.

    A class of six samples brings its share of the variance with five degrees of freedom, however many groups others have.
    """
    own = [(weight**2 * group_variance(of), of.effective_groups - 1) for weight, of in pairs.strata]
    whole = sum(v for v, _ in own)
    every = pairs.effective_groups - 1
    return min(every, whole**2 / sum(v**2 / df for v, df in own)) if whole > 0 else every


def fewest_df(pairs: Paired) -> float:
    """Degrees of freedom of `group_variance` were whole groups alike, and by how uneven the groups' parts of it are.

    Samples of one group go together, so that a group moves the mean by its share, and the variance by the square of that:
    the sizes count as (sum of s^2)^2 / sum of s^4 groups (Satterthwaite 1946, as Imbens & Kolesar 2016 for clusters). A few
    groups that are unlike the others, such as those of a rare class, show in the fourth moment of what leaving each out
    does: V has the variance sum of d^4 - V^2 / G. Either is at least 1, and neither more than `group_df`.
    """
    shares, moved = pairs.shares, without(pairs) - pairs.mean
    moved = moved[~np.isnan(moved)]
    sizes = float((shares**2).sum() ** 2 / (shares**4).sum()) - 1
    whole = float((moved**2).sum())
    spread = float((moved**4).sum()) - whole**2 / max(1, len(moved))
    uneven = 2 * whole**2 / spread if spread > 0 else np.inf
    return min(group_df(pairs), max(1.0, min(sizes, uneven)))


def jackknife(left: np.ndarray, mean: float) -> float:
    """(G - 1) / G x sum of (left - mean)^2 over the groups (G,) that can be left out; NaN where one can't."""
    left = left[~np.isnan(left)]
    return float((len(left) - 1) / len(left) * ((left - mean) ** 2).sum())


def without(pairs: Paired) -> np.ndarray:
    """Leave-one-group-out means, (G,); NaN where no group is left in any split."""
    sums, counts = pairs.sums.mean(0), pairs.counts
    left = counts.sum(1, keepdims=True) - counts
    # a split whose only group is left out has no mean of its own
    there = left > 0
    means = (sums.sum(1, keepdims=True) - sums) / np.where(there, left, 1) * there
    splits = there.sum(0)
    found: np.ndarray = np.where(splits > 0, means.sum(0) / np.maximum(splits, 1), np.nan)
    return found


def moved(pairs: Paired) -> np.ndarray:
    """The contributions of seed and group together to the mean, (S, G)."""
    centred = pairs.sums - pairs.runs[:, :, None] * pairs.counts
    parts: np.ndarray = (centred / pairs.counts.sum(1)[:, None]).sum(1) / pairs.sums.shape[1]
    return parts


def both_variance(parts: np.ndarray) -> float:
    """Variance of the mean from what moves with seed and group together (S, G): counted in both other terms."""
    seeds = len(parts)
    return float(((parts - parts.mean(0)) ** 2).sum() / (seeds * (seeds - 1)))
