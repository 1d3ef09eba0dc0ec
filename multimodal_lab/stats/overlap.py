"""Representation overlap of two modalities: every measure with its interval and null."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from multimodal_lab.metric.similarity import correlation, ranks
from multimodal_lab.stats.cca import mean_cca, pwcca, svcca
from multimodal_lab.stats.cka import kernel_cka, linear_cka
from multimodal_lab.stats.exchange import thinned
from multimodal_lab.stats.resample import Resampled, Statistic, Through, resampled
from multimodal_lab.stats.sphere import mutual_knn


def measures(k: int = 10, ridge: float = 0.1) -> dict[str, Statistic]:
    """{name: statistic of two spaces}, larger is more alike. k: of mutual_knn; ridge: of the canonical correlations."""
    return {
        "linear_cka": linear_cka,
        "kernel_cka": kernel_cka,
        "rsa": Through(ranks, correlation),
        "cca": partial(mean_cca, ridge=ridge),
        "svcca": partial(svcca, ridge=ridge),
        "pwcca": partial(pwcca, ridge=ridge),
        "mutual_knn": partial(mutual_knn, k=k),
    }


def overlap(
    x: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    statistics: Mapping[str, Statistic] | None = None,
    limit: int = 500,
    draws: int = 200,
    permutations: int = 199,
    seed: int = 0,
) -> dict[str, Resampled]:
    """Every measure of x (N, D) and y (N, E), over at most `limit` samples drawn by `seed`: cost grows with their square.

    Of groups (N,) as many samples each are drawn as fit (see `exchange.thinned`).
    """
    rows = thinned(np.arange(len(x)) if groups is None else np.asarray(groups), limit, seed)
    x, y, groups = x[rows], y[rows], None if groups is None else np.asarray(groups)[rows]
    chosen = measures(k=min(10, max(1, len(rows) // 4))) if statistics is None else statistics
    return {
        name: resampled(one, x, y, groups, draws=draws, permutations=permutations, seed=seed)
        for name, one in chosen.items()
    }
