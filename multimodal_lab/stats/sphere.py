"""Geometry of two modalities on the unit sphere: mutual neighbours, modality gap, alignment, uniformity.

With groups each of them counts the same.
"""

from __future__ import annotations

import numpy as np

from multimodal_lab.stats.grouped import apart, means, numbered, shares


def unit(x: np.ndarray) -> np.ndarray:
    """Rows of x (N, D) made unit; a zero row stays zero."""
    rows: np.ndarray = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return rows


def mutual_knn(x: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None, *, k: int = 10) -> float:
    """Mean share of the k nearest neighbours by cosine that both spaces name, 0 to 1; chance is near k / N.

    x (N, D), y (N, E); a row of the same group (N,) isn't a neighbour (None: a row isn't its own): that rows of one individual
    are alike in both spaces says nothing of others. ValueError where a row has fewer than k of them. Huh et al. 2024, appendix A.
    """
    index = numbered(groups, len(x))
    others = len(x) - int(np.bincount(index).max())
    if not 1 <= k <= others:
        raise ValueError(f"k={k}, expected 1 to {others} for {len(x)} samples")
    both = (_neighbours(x, k, index) & _neighbours(y, k, index)).sum(1)
    return float(shares(index) @ both / k)


def modality_gap(x: np.ndarray, y: np.ndarray) -> float:
    """Distance between the centres of two unit embeddings of one width, 0 to 2. Liang et al. 2022.

    Above 0 for centres that are one, by the scatter of both; `gap_squared` is not.
    """
    _one_width(x, y)
    return float(np.linalg.norm(unit(x).mean(0) - unit(y).mean(0)))


def gap_by_chance(x: np.ndarray, y: np.ndarray, *, swaps: int = 20, seed: int = 0) -> float:
    """The modality gap of pairs x, y (N, D) whose two a coin swaps, the mean of `swaps`: what scatter alone makes of it."""
    _one_width(x, y)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (swaps, len(x)))
    return float(np.linalg.norm(signs @ (unit(x) - unit(y)) / len(x), axis=1).mean())


def gap_share(x: np.ndarray, y: np.ndarray) -> float:
    """The share of the mean squared distance of a pair x, y (N, D) that is the modality gap, 0 to 1; 0 where all pairs are one.

    E|x - y|^2 is the squared distance of the centres and what the pairs differ by around them.
    """
    _one_width(x, y)
    whole = float(((unit(x) - unit(y)) ** 2).sum(1).mean())
    return modality_gap(x, y) ** 2 / whole if whole > 0 else 0.0


def gap_squared(x: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> float:
    """The square of the modality gap without the bias of few groups (N,); below 0 by chance where there is none.

    The mean of d_g . d_h over two different groups, d_g the mean difference of the unit rows of x and y (N, D) in group g: the
    unbiased estimate of a squared mean (the U-statistic of degree 2, Hoeffding 1948).
    """
    _one_width(x, y)
    own = means(unit(x) - unit(y), numbered(groups, len(x)))
    whole = own.sum(0)
    return float((whole @ whole - (own**2).sum()) / (len(own) * (len(own) - 1)))


def alignment(x: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> float:
    """`metric.hypersphere.alignment` (alpha 2) of x, y (N, D), the mean of groups' means: 0 is best, 4 the worst."""
    _one_width(x, y)
    return float(shares(numbered(groups, len(x))) @ ((unit(x) - unit(y)) ** 2).sum(1))


def uniformity(x: np.ndarray, groups: np.ndarray | None = None, *, t: float = 2.0) -> float:
    """`metric.hypersphere.uniformity` of x (N, D) over pairs of two groups (N,): lower spreads more. None: each row is one."""
    index = numbered(groups, len(x))
    between = means(means(np.exp(2 * t * (unit(x) @ unit(x).T - 1)), index).T, index)
    np.fill_diagonal(between, 0)
    return float(np.log(between.sum() / (len(between) * (len(between) - 1))))


def _neighbours(x: np.ndarray, k: int, index: np.ndarray) -> np.ndarray:
    near = unit(x) @ unit(x).T
    near[~apart(index)] = -np.inf
    named = np.zeros(near.shape, bool)
    np.put_along_axis(named, np.argpartition(-near, k - 1, axis=1)[:, :k], True, axis=1)
    return named


def _one_width(x: np.ndarray, y: np.ndarray) -> None:
    if x.shape != y.shape:
        raise ValueError(
            f"embeddings are {x.shape} and {y.shape}, expected one width: the two are compared in one space"
        )
