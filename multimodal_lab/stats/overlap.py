"""Representation overlap of two modalities: every measure with its null, and its interval where one holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from multimodal_lab.stats.cca import leading, mean_cca, pwcca, svcca
from multimodal_lab.stats.cka import kernel_cka, linear_cka
from multimodal_lab.stats.exchange import thinned
from multimodal_lab.stats.resample import Resampled, Statistic, resampled
from multimodal_lab.stats.rsa import rsa
from multimodal_lab.stats.sphere import mutual_knn

WIDTH = 64


@dataclass(frozen=True)
class Measure:
    """A statistic of two spaces, larger is more alike; interval: whether one that holds its level can be told.

    reduced: wide spaces go in by their 64 leading principal directions, which are learnt without the other space.
    """

    of: Statistic
    interval: bool = True
    reduced: bool = False


def measures(k: int = 10, ridge: float = 0.1) -> dict[str, Measure]:
    """Measures by name. k: of mutual_knn; ridge: of the canonical correlations.

    These have no interval: of groups held out they are too low where few groups teach the variates, and by how much isn't known.
    """
    return {
        "linear_cka": Measure(linear_cka),
        "kernel_cka": Measure(kernel_cka),
        "rsa": Measure(rsa),
        "cca": Measure(partial(mean_cca, ridge=ridge), interval=False, reduced=True),
        "svcca": Measure(partial(svcca, ridge=ridge), interval=False, reduced=True),
        "pwcca": Measure(partial(pwcca, ridge=ridge), interval=False, reduced=True),
        "mutual_knn": Measure(partial(_neighbours, k=k)),
    }


def _neighbours(x: np.ndarray, y: np.ndarray, index: np.ndarray, *, k: int) -> float:
    """mutual_knn, of fewer than k where a large group leaves fewer outside."""
    return mutual_knn(x, y, index, k=min(k, len(x) - int(np.bincount(index).max())))


def overlap(
    x: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    of: Mapping[str, Measure] | None = None,
    limit: int = 500,
    intervals: bool = True,
    permutations: int = 199,
    seed: int = 0,
) -> dict[str, Resampled]:
    """Every measure of x (N, D) and y (N, E), over at most `limit` samples drawn by `seed`: cost grows with their square.

    Of groups (N,) as many samples each are drawn as fit (see `exchange.thinned`). Groups count the same.
    """
    rows = thinned(np.arange(len(x)) if groups is None else np.asarray(groups), limit, seed)
    x, y, groups = x[rows], y[rows], None if groups is None else np.asarray(groups)[rows]
    narrow = leading(x, WIDTH), leading(y, WIDTH)
    chosen = measures(k=min(10, max(1, len(rows) // 4))) if of is None else of
    found = {}
    for name, one in chosen.items():
        a, b = narrow if one.reduced else (x, y)
        told = intervals and one.interval
        found[name] = resampled(one.of, a, b, groups, interval=told, permutations=permutations, seed=seed)
    return found
