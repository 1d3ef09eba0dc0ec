"""For which samples is a second modality worth measuring? Accuracy against the share of samples that have it.

The samples whose first model is least sure get the second modality (selective acquisition by uncertainty, as in selective
classification: Geifman & El-Yaniv 2017). The share is chosen on some groups and its loss told on others (cross-fitting), so
that the interval needs no correction for the choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from multimodal_lab.stats.crossed import Crossed, crossed
from multimodal_lab.stats.paired import paired
from multimodal_lab.stats.smallest import smallest
from multimodal_lab.stats.subgroups import restricted

SHARES = tuple(i / 20 for i in range(21))
FOLDS = 5
FEWEST = 4  # groups: with fewer, what chooses the share and what tests it is one group each


@dataclass(frozen=True)
class Curve:
    """Mean score by the share of samples that have the second modality; all (len(SHARES),).

    doubt: those first of which the first model is least sure; random: any; oracle: those first that gain, which nobody knows
    beforehand. loss: of every share by doubt, against all samples having it.
    """

    doubt: list[float]
    random: list[float]
    oracle: list[float]
    loss: list[Crossed]


@dataclass(frozen=True)
class Acquisition:
    """The smallest share that loses less than the margin, chosen on some groups and judged on others.

    share: the mean over folds of what was chosen (`shares`); loss: of full fusion minus that share, on the groups that did not
    choose it; random: what the same share in random order loses. small: the loss is shown to be less than the margin.
    """

    share: float
    shares: list[float]
    loss: Crossed
    random: float
    margin: float
    small: bool


def curve(
    first: np.ndarray, both: np.ndarray, doubt: np.ndarray, groups: np.ndarray, ratio: float | None = None
) -> Curve:
    """first, both (S, R, N): scores without and with the second modality, NaN where not tested; doubt: higher is less sure.

    groups (N,), ratio: as in `crossed`.
    """
    rank, best = ranks(doubt, first), ranks(both - first, first)
    mixed = [acquired(first, both, rank, share) for share in SHARES]
    low, high = _mean(first), _mean(both)
    return Curve(
        [_mean(m) for m in mixed],
        [(1 - share) * low + share * high for share in SHARES],
        [_mean(acquired(first, both, best, share)) for share in SHARES],
        [_loss(m, both, groups, ratio) for m in mixed],
    )


def acquisition(
    first: np.ndarray,
    both: np.ndarray,
    doubt: np.ndarray,
    groups: np.ndarray,
    margin: float,
    ratio: float | None = None,
    seed: int = 0,
) -> Acquisition | None:
    """The smallest share of `SHARES` whose loss is less than `margin`; arguments as in `curve`. None with fewer than 4 groups.

    Groups are dealt into 5 folds. For each, the other folds choose, by bisection: a share whose loss they show to be less than
    the margin (one-sided at .05, with the floor of `rare`) where 5 % of the samples fewer do not; else all samples. The fold's
    samples then have the second modality by this share, and the loss over all of them is tested as any other difference.
    """
    names, index = np.unique(groups, return_inverse=True)
    if len(names) < FEWEST:
        return None
    dealt = np.random.default_rng(seed).permutation(len(names)) % min(FOLDS, len(names))
    fold = dealt[index]
    given, shares = np.full(first.shape, np.nan), []
    for k in range(int(dealt.max()) + 1):
        inside = restricted([first, both, doubt], fold != k)
        share = 1.0 if inside is None else _smallest(inside, groups[fold != k], margin, ratio)
        one, two, unsure = (x[:, :, fold == k] for x in (first, both, doubt))
        given[:, :, fold == k] = acquired(one, two, ranks(unsure, one), share)
        shares.append(share)
    loss = _loss(given, both, groups, ratio)
    share = float(np.average(shares, weights=[(fold == k).sum() for k in range(len(shares))]))
    random = (1 - share) * (_mean(both) - _mean(first))
    return Acquisition(share, shares, loss, random, margin, below(loss, margin))


def below(loss: Crossed, margin: float, alpha: float = 0.05) -> bool:
    """Whether a loss is shown to be less than the margin, one-sided."""
    se = loss.cautious.se
    if se == 0:
        return loss.mean < margin
    return bool(np.isfinite(se)) and float(stats.t.sf((margin - loss.mean) / se, loss.df)) < alpha


def ranks(key: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """(S, R, N): place of every tested sample in its run, highest key first, as a share in [0, 1); NaN where not tested."""
    key = np.where(np.isnan(tested), -np.inf, np.where(np.isnan(key), np.inf, key))
    place = np.argsort(np.argsort(-key, axis=2, kind="stable"), axis=2, kind="stable").astype(float)
    count = (~np.isnan(tested)).sum(2, keepdims=True)
    found: np.ndarray = np.where(np.isnan(tested), np.nan, place / np.maximum(count, 1))
    return found


def acquired(first: np.ndarray, both: np.ndarray, rank: np.ndarray, share: float) -> np.ndarray:
    """The scores (S, R, N) where that share of each run's samples has the second modality."""
    # a hair more than the share: 0.15 * 20 of 20 samples are 3
    return np.where(np.isnan(first), np.nan, np.where(rank < share - 1e-9, both, first))


def _smallest(scores: Sequence[np.ndarray], groups: np.ndarray, margin: float, ratio: float | None) -> float:
    first, both, doubt = scores
    rank = ranks(doubt, first)

    def little(place: int) -> bool:
        given = acquired(first, both, rank, SHARES[place])
        return below(_loss(given, both, groups, ratio), margin)

    return SHARES[smallest(-1, len(SHARES) - 1, little)]


def _loss(given: np.ndarray, both: np.ndarray, groups: np.ndarray, ratio: float | None) -> Crossed:
    # both share the runs of the second modality, so that their seeds are pairs, unlike those of two arms
    return crossed(replace(paired(given, both, groups), arms=None), ratio)


def _mean(score: np.ndarray) -> float:
    return float(np.nanmean(score, axis=2).mean())
