"""The leak gap: score on random splits minus score on grouped splits."""

from __future__ import annotations

import numpy as np

from multimodal_lab.stats.crossed import (
    Crossed,
    Source,
    both_variance,
    combined,
    jackknife,
    moved,
    seed_source,
    unknown,
    without,
)
from multimodal_lab.stats.folds import corrected_variance
from multimodal_lab.stats.paired import Paired


def gap(random: Paired, grouped: Paired, test_per_train: float | None = None, level: float = 0.95) -> Crossed:
    """Mean score on random splits minus mean score on grouped splits, with the interval of the study's test.

    random, grouped: the scores of the samples as `paired(0, score, groups)` gives them, of the same seeds and the same
    number of splits; `names` are groups of one data set. The test parts differ, so that no sample is its own pair: the
    means are. What is paired all the same is the group: V_group comes from leaving a group out of both means at once, so
    that a hard group in both test parts is not counted twice. The rest, splits and degrees of freedom among it, is as in
    `crossed`, which it equals where both test parts are the same; of both the fewer groups count. test_per_train: needed
    with more than one split.
    """
    seeds, splits, _ = random.sums.shape
    if random.sums.shape[:2] != grouped.sums.shape[:2]:
        found = f"{random.sums.shape[:2]} and {grouped.sums.shape[:2]}"
        raise ValueError(f"scores are of {found} seeds and splits; expected the same of both")
    if splits > 1 and test_per_train is None:
        raise ValueError(f"{splits} splits overlap in training: expected test_per_train (0.25 for 80/20), found none")
    mean = random.mean - grouped.mean
    names = np.union1d(random.names, grouped.names)
    shape = (seeds, splits, len(names))
    if seeds < 2 or min(len(random.names), len(grouped.names)) < 2:
        return unknown(mean, shape)
    seed = seed_source([*random.each, *grouped.each])
    both = sum(both_variance(moved(arm)) for arm in (*random.each, *grouped.each))
    left = [_placed(pairs, without(pairs)[None], names, pairs.mean)[0] for pairs in (random, grouped)]
    df = min(1 / float((pairs.shares**2).sum()) for pairs in (random, grouped)) - 1
    group, folds = Source(jackknife(left[0] - left[1], mean), df), None
    if splits > 1 and test_per_train is not None:
        folds = Source(corrected_variance(random.by_split - grouped.by_split, test_per_train), splits - 1.0)
    return combined(mean, shape, seed, both, group, folds, level)


def _placed(pairs: Paired, values: np.ndarray, names: np.ndarray, absent: float) -> np.ndarray:
    """Values (K, own groups) as (K, all groups): `absent` for a group that isn't in the test part."""
    found = np.full((len(values), len(names)), float(absent))
    found[:, np.searchsorted(names, pairs.names)] = values
    return found
