"""Representational similarity analysis of two spaces."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata


def cosine(x: np.ndarray) -> np.ndarray:
    """Cosine similarities (N, N) float64 of the rows of x (N, D); a zero row is 0 to all."""
    x = x.astype(np.float64)
    unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    similarities: np.ndarray = unit @ unit.T
    return similarities


def rsa(x: np.ndarray, y: np.ndarray, permutations: int = 0, seed: int = 0) -> tuple[float, float]:
    """Spearman correlation of the upper triangles of two cosine matrices, and its one-sided permutation p.

    x (N, D), y (N, E), row i of both is one sample, N >= 3. Entries of a similarity matrix are not independent, so a
    parametric p would be far too small: p = (1 + how many orders of y's samples correlate as well) / (1 +
    permutations), NaN if permutations is 0. The correlation is NaN where one matrix is constant. All pairs are held.
    Kriegeskorte et al. 2008; Mantel 1967.
    """
    a, b = ranks(x), ranks(y)
    found = correlation(a, b)
    if np.isnan(found) or not permutations:
        return found, float("nan")
    draw = np.random.default_rng(seed)
    orders = (draw.permutation(len(x)) for _ in range(permutations))
    # the tolerance keeps an order that gives the same matrix from counting as lower by rounding
    as_good = sum(correlation(a, b[np.ix_(order, order)]) >= found - 1e-12 for order in orders)
    return found, (1 + as_good) / (1 + permutations)


def ranks(x: np.ndarray) -> np.ndarray:
    """(N, N): where a pair's cosine stands among all pairs of x (N, D), centred; 0 on the diagonal, and where all are equal."""
    upper = np.triu_indices(len(x), 1)
    found = np.zeros((len(x), len(x)))
    found[upper] = _ranks(cosine(x)[upper])
    return found + found.T


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's, of two matrices of `ranks`; NaN where one has none."""
    return float(np.vdot(a, b)) / 2 if a.any() and b.any() else float("nan")


def _ranks(values: np.ndarray) -> np.ndarray:
    # cosines that should tie differ in the last bits: without rounding, equal similarities would be ranked by noise
    ranks = rankdata(values.round(12))
    centred: np.ndarray = ranks - ranks.mean()
    norm = float(np.linalg.norm(centred))
    return centred / norm if norm > 0 else centred * 0
