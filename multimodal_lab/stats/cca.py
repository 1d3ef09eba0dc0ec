"""Canonical correlation analysis (CCA, regularised) of two spaces, with SVCCA and PWCCA, on groups held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multimodal_lab.stats.grouped import numbered, shares

FOLDS = 5


@dataclass(frozen=True)
class Canonical:
    """Canonical correlations (K,), falling; weights (D, K), others (E, K): centred rows of x, y times them are the variates."""

    correlations: np.ndarray
    weights: np.ndarray
    others: np.ndarray


@dataclass(frozen=True)
class HeldOut:
    """Of variates learnt on other groups: correlations (K,) where they were held out, -1 to 1; explains (K,): PWCCA's weights."""

    correlations: np.ndarray
    explains: np.ndarray


def cca(x: np.ndarray, y: np.ndarray, ridge: float = 0.0) -> Canonical:
    """Canonical correlations of x (N, D) and y (N, E), K = min(D, E).

    Singular values of Cxx^-1/2 Cxy Cyy^-1/2 (Hotelling 1936), each C with `ridge` x its mean variance
    added to the diagonal (Vinod 1976).
    Without a ridge N must be well above D + E: else every correlation is 1 whatever the data. Directions without variance
    are left out.
    """
    if ridge < 0:
        raise ValueError(f"ridge={ridge:g}, expected >= 0")
    x, y = x - x.mean(0), y - y.mean(0)
    wx, wy = _whitener(x, ridge), _whitener(y, ridge)
    u, s, v = np.linalg.svd(wx.T @ x.T @ y @ wy / (len(x) - 1), full_matrices=False)
    return Canonical(np.clip(s, 0, 1), wx @ u, wy @ v.T)


def held_out(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None, *, ridge: float = 0.1, keep: float = 1.0
) -> HeldOut:
    """Canonical correlations of x (N, D) and y (N, E) in samples that the variates were not learnt on.

    In samples that they were, correlations are high for anything: near 1 where D + E comes near N. Here the groups (N,) are dealt
    into 5 parts; variates are learnt on four and correlated in the fifth (cross-validated CCA, Witten, Tibshirani & Hastie 2009),
    products summed over the five, each group counting the same. Directions with less than `keep` of the variance of the four are
    left out. Too low where few groups teach the variates: what they could be with more is not told.
    """
    index = numbered(groups, len(x))
    weights, count = shares(index), int(index.max()) + 1
    part = (np.random.default_rng(0).permutation(count) % min(FOLDS, count))[index]
    width = min(x.shape[1], y.shape[1])
    products, explains = np.zeros((3, width)), np.zeros(width)
    for fold in range(int(part.max()) + 1):
        test, train = part == fold, part != fold
        (a, mine), (b, theirs) = (_parts(v, train, test, keep) for v in (x, y))
        found = cca(a, b, ridge)
        k = len(found.correlations)
        u, v, own = mine @ found.weights, theirs @ found.others, weights[test]
        products[:, :k] += own @ (u * v), own @ u**2, own @ v**2
        explains[:k] += _explained(a, found.weights)
    kept = (products[1] > 0) & (products[2] > 0)
    both, one, two = products[:, kept]
    return HeldOut(both / np.sqrt(one * two), explains[kept])


def mean_cca(x: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None, *, ridge: float = 0.1) -> float:
    """Mean canonical correlation (Kornblith et al. 2019, section 3) of groups held out; see `held_out`."""
    return _mean(held_out(x, y, groups, ridge=ridge).correlations)


def svcca(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None, *, keep: float = 0.99, ridge: float = 0.1
) -> float:
    """The same of the leading principal directions with `keep` of the variance. Raghu et al. 2017."""
    return _mean(held_out(x, y, groups, ridge=ridge, keep=keep).correlations)


def pwcca(x: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None, *, ridge: float = 0.1) -> float:
    """Canonical correlations of groups held out, weighted by how much of x each variate explains; not symmetric.

    weights alpha_i = sum_j |<h_i, x_j>|, h the variates of x. Morcos, Raghu & Bengio 2018.
    """
    found = held_out(x, y, groups, ridge=ridge)
    return _mean(found.correlations, found.explains)


def _mean(correlations: np.ndarray, weights: np.ndarray | None = None) -> float:
    if not len(correlations) or (weights is not None and weights.sum() <= 0):
        return float("nan")
    return float(np.average(correlations, weights=weights))


def _explained(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """alpha (K,) of PWCCA."""
    variates = x @ weights
    variates = variates / np.maximum(np.linalg.norm(variates, axis=0), 1e-300)
    alpha: np.ndarray = np.abs(variates.T @ x).sum(1)
    return alpha


def _parts(x: np.ndarray, train: np.ndarray, test: np.ndarray, keep: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows that teach and rows held out, less the mean of the first; in the leading directions of the first where keep < 1."""
    mean = x[train].mean(0)
    a, b = x[train] - mean, x[test] - mean
    if keep >= 1:
        return a, b
    values, vectors = _principal(a)
    share = np.cumsum(values) / max(values.sum(), 1e-300)
    directions = vectors[:, : int(np.searchsorted(share, keep - 1e-12)) + 1]
    return a @ directions, b @ directions


def leading(x: np.ndarray, width: int) -> np.ndarray:
    """x (N, D) in at most `width` leading principal directions, (N, W), centred."""
    x = x - x.mean(0)
    found: np.ndarray = x @ _principal(x)[1][:, :width]
    return found


def _principal(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variances (K,), falling, and directions (D, K) of centred x (N, D)."""
    n, d = x.shape
    if d > n:  # at most n directions have variance: no (D, D) matrix is needed to find them
        _, s, across = np.linalg.svd(x, full_matrices=False)
        return s**2 / (n - 1), across.T
    values, vectors = np.linalg.eigh(x.T @ x / (n - 1))
    return np.maximum(values[::-1], 0), vectors[:, ::-1]


def _whitener(x: np.ndarray, ridge: float) -> np.ndarray:
    """(D, K) whose product with x's covariance (and ridge) is white."""
    values, vectors = _principal(x)
    kept = values > 1e-10 * max(values.max(), 1e-300)
    white: np.ndarray = vectors[:, kept] / np.sqrt(values[kept] + ridge * values.sum() / x.shape[1])
    return white
