"""Bootstrap confidence intervals over seeds, splits and groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multimodal_lab.stats.paired import Paired

_SHARE = 500  # draws at a time, which bounds the memory


@dataclass(frozen=True)
class Bootstrap:
    """mean; low, high: percentile interval; p: two-sided; p_greater: one-sided, that there is no gain."""

    mean: float
    low: float
    high: float
    p: float
    p_greater: float
    draws: int


def hierarchical(pairs: Paired, draws: int = 2000, level: float = 0.95, seed: int = 0) -> Bootstrap:
    """Mean difference with its interval, drawing seeds, splits and whole groups with replacement.

    Seeds share the test samples, so one draw of groups serves every seed (the pigeonhole bootstrap, Owen 2007: drawing
    groups anew for each seed would take what all seeds share for noise that averages out), and every split in which the
    group is tested. A group comes whole, with its size. p = (1 + draws on the other side of 0) / (1 + draws), doubled.
    Of 3 seeds a bootstrap sees two thirds of their variance: for a decision use `crossed`, which corrects for it.
    """
    drawn = _means(pairs, draws, np.random.default_rng(seed))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    below, above = ((1 + int(side.sum())) / (1 + draws) for side in (drawn <= 0, drawn >= 0))
    return Bootstrap(pairs.mean, float(low), float(high), min(1.0, 2 * min(below, above)), below, draws)


def _means(pairs: Paired, draws: int, draw: np.random.Generator) -> np.ndarray:
    seeds, splits, groups = pairs.sums.shape
    found: list[np.ndarray] = []
    while sum(map(len, found)) < draws:
        w_seed = draw.multinomial(seeds, np.full(seeds, 1 / seeds), _SHARE)
        w_split = draw.multinomial(splits, np.full(splits, 1 / splits), _SHARE)
        w_group = draw.multinomial(groups, np.full(groups, 1 / groups), _SHARE)
        total = np.einsum("bs,srg,bg->br", w_seed / seeds, pairs.sums, w_group, optimize=True)
        count = w_group @ pairs.counts.T
        # a split none of whose groups was drawn says nothing
        w_split = w_split * (count > 0)
        told = w_split.sum(1) > 0
        mean = (w_split * total / np.maximum(count, 1))[told].sum(1) / w_split[told].sum(1)
        found.append(mean)
    return np.concatenate(found)[:draws]
