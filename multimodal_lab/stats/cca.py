"""Canonical correlation analysis (CCA, regularised) of two spaces, with SVCCA and PWCCA."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Canonical:
    """Canonical correlations (K,), falling; weights (D, K): x's centred rows times them are x's canonical variates."""

    correlations: np.ndarray
    weights: np.ndarray


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
    u, s, _ = np.linalg.svd(wx.T @ x.T @ y @ wy / (len(x) - 1), full_matrices=False)
    return Canonical(np.clip(s, 0, 1), wx @ u)


def mean_cca(x: np.ndarray, y: np.ndarray, ridge: float = 0.1) -> float:
    """Mean canonical correlation. Kornblith et al. 2019, section 3."""
    found = cca(x, y, ridge).correlations
    return float(found.mean()) if len(found) else float("nan")


def svcca(x: np.ndarray, y: np.ndarray, keep: float = 0.99, ridge: float = 0.0) -> float:
    """Mean canonical correlation of the leading principal directions with `keep` of the variance. Raghu et al. 2017."""
    return mean_cca(_leading(x, keep), _leading(y, keep), ridge)


def pwcca(x: np.ndarray, y: np.ndarray, ridge: float = 0.1) -> float:
    """Canonical correlations weighted by how much of x each variate explains; not symmetric.

    weights alpha_i = sum_j |<h_i, x_j>|, h the variates of x. Morcos, Raghu & Bengio 2018.
    """
    found, centred = cca(x, y, ridge), x - x.mean(0)
    variates = centred @ found.weights
    variates = variates / np.maximum(np.linalg.norm(variates, axis=0), 1e-300)
    alpha = np.abs(variates.T @ centred).sum(1)
    return float(alpha @ found.correlations / alpha.sum()) if alpha.sum() > 0 else float("nan")


def _whitener(x: np.ndarray, ridge: float) -> np.ndarray:
    """(D, K) whose product with x's covariance (and ridge) is white."""
    n, d = x.shape
    if d > n:  # at most n directions have variance: no (D, D) matrix is needed to find them
        _, s, across = np.linalg.svd(x, full_matrices=False)
        values, vectors = s**2 / (n - 1), across.T
    else:
        values, vectors = np.linalg.eigh(x.T @ x / (n - 1))
    kept = values > 1e-10 * max(values.max(), 1e-300)
    white: np.ndarray = vectors[:, kept] / np.sqrt(values[kept] + ridge * values.sum() / d)
    return white


def _leading(x: np.ndarray, keep: float) -> np.ndarray:
    u, s, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    share = np.cumsum(s**2) / max((s**2).sum(), 1e-300)
    count = int(np.searchsorted(share, keep - 1e-12)) + 1
    leading: np.ndarray = u[:, :count] * s[:count]
    return leading
