"""How alike two modalities' representations are: every measure with its interval and null."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from multimodal_lab.metric.similarity import correlation, ranks
from multimodal_lab.stats.cca import mean_cca, pwcca, svcca
from multimodal_lab.stats.cka import kernel_cka, linear_cka
from multimodal_lab.stats.resample import Resampled, Statistic, Through, resampled
from multimodal_lab.stats.sphere import alignment, modality_gap, mutual_knn


def measures(k: int = 10, ridge: float = 0.1, one_space: bool = False) -> dict[str, Statistic]:
    """{name: statistic of two spaces}, larger is more alike but for the last two.

    one_space: both are embeddings in one space (a joint projection), so that distances between them mean something: then
    modality_gap and alignment too. k: neighbours of mutual_knn; ridge: of the canonical correlations.
    """
    found: dict[str, Statistic] = {
        "linear_cka": linear_cka,
        "kernel_cka": kernel_cka,
        "rsa": Through(ranks, correlation),
        "cca": partial(mean_cca, ridge=ridge),
        "svcca": partial(svcca, ridge=ridge),
        "pwcca": partial(pwcca, ridge=ridge),
        "mutual_knn": partial(mutual_knn, k=k),
    }
    if one_space:
        found |= {"modality_gap": modality_gap, "alignment": alignment}
    return found


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
    """Every measure of x (N, D) and y (N, E), over at most `limit` samples drawn by `seed`: cost grows with their square."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(x))[:limit])
    x, y, groups = x[rows], y[rows], None if groups is None else np.asarray(groups)[rows]
    chosen = measures(k=min(10, max(1, len(rows) // 4))) if statistics is None else statistics
    return {
        name: resampled(one, x, y, groups, draws=draws, permutations=permutations, seed=seed)
        for name, one in chosen.items()
    }
