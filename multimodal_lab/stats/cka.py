"""Centred kernel alignment (CKA) of two spaces, without the bias of few samples or of samples that come in groups."""

from __future__ import annotations

import numpy as np

from multimodal_lab.stats.grouped import apart, means, numbered, shares
from multimodal_lab.stats.resample import Through

LEAST = 4


def linear(x: np.ndarray) -> np.ndarray:
    """Gram matrix (N, N) of the rows of x (N, D)."""
    x = x - x.mean(0)
    gram: np.ndarray = x @ x.T
    return gram


def rbf(x: np.ndarray, groups: np.ndarray | None = None, width: float = 1.0) -> np.ndarray:
    """Gaussian kernel (N, N): exp(-d^2 / 2 s^2), s = width x the median distance of rows of two groups.

    Kornblith et al. 2019, section 3.
    """
    norms = (x**2).sum(1)
    square = np.maximum(norms[:, None] + norms - 2 * x @ x.T, 0)
    # rounding leaves a trace of distance between a row and itself
    np.fill_diagonal(square, 0)
    median = float(np.median(square[np.triu(apart(numbered(groups, len(x))))]))
    kernel: np.ndarray = np.exp(-square / (2 * width**2 * median)) if median > 0 else np.ones_like(square)
    return kernel


def hsic(k: np.ndarray, m: np.ndarray, groups: np.ndarray | None = None) -> float:
    """Unbiased Hilbert-Schmidt independence of two kernels (N, N). Song et al. 2012, equation 5.

    The mean of k_ij m_ij + k_ij m_qr - 2 k_ij m_iq over i, j, q, r of four different groups (N,): rows of one group are alike in
    any space, so that their pairs tell nothing of the population. Each group counts the same. None: each row is a group.
    ValueError with fewer than 4 groups.
    """
    return float(np.vdot(centred(k, numbered(groups, len(k))), m))


def centred(k: np.ndarray, index: np.ndarray) -> np.ndarray:
    """(N, N) of a kernel k (N, N): its product with another, summed, is their `hsic`; index (N,) as `grouped.numbered` gives it.

    The U-centred matrix of Szekely & Rizzo 2014, definition 2, over groups: 0 for rows of one.
    """
    n = int(index.max()) + 1
    if n < LEAST:
        raise ValueError(f"HSIC needs at least {LEAST} samples of different groups, got {n}")
    k = k * apart(index)
    # a row with each group (N, G), and each group with each (G, G): 0 with its own
    rows = means(k.T, index).T
    groups = means(rows, index)
    one = (rows.sum(1)[:, None] - rows)[:, index]
    sums = groups.sum(1)
    none = (sums.sum() - 2 * sums[:, None] - 2 * sums + 2 * groups)[index][:, index]
    found = k - (one + one.T) / (n - 2) + none / ((n - 2) * (n - 3))
    weights = shares(index)
    scaled: np.ndarray = found * apart(index) * weights[:, None] * weights * n / (n - 1)
    return scaled


def hsic_biased(k: np.ndarray, m: np.ndarray) -> float:
    """tr(KHLH) / (N - 1)^2. Gretton et al. 2005, definition 2."""
    centred = k - k.mean(0) - k.mean(1, keepdims=True) + k.mean()
    return float((centred * m).sum() / (len(k) - 1) ** 2)


def alignment(k: np.ndarray, m: np.ndarray, groups: np.ndarray | None = None, *, debiased: bool = True) -> float:
    """CKA of two kernels: HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)); Kornblith et al. 2019, equation 4.

    With few samples and wide spaces the plain estimate is near 1 for anything; the debiased one (Nguyen, Raghu & Kornblith
    2021; Murphy, Zylberberg & Fyshe 2024) is near 0 for unrelated spaces, and may be below it. groups (N,): see `hsic`. NaN
    where a space is constant.
    """
    if debiased:
        index = numbered(groups, len(k))
        return float(np.vdot(_first(k, index), _second(m, index)))
    scale = hsic_biased(k, k) * hsic_biased(m, m)
    return float(hsic_biased(k, m) / scale**0.5) if scale > 0 else float("nan")


def _first(k: np.ndarray, index: np.ndarray) -> np.ndarray:
    found = centred(k, index)
    return found / _root(float(np.vdot(found, k)))


def _second(m: np.ndarray, index: np.ndarray) -> np.ndarray:
    return m / _root(hsic(m, m, index))


def _root(own: float) -> float:
    """NaN at or below 0: the scatter of the space is lost in noise."""
    return own**0.5 if own > 0 else float("nan")


linear_cka = Through(lambda x, index: _first(linear(x), index), lambda y, index: _second(linear(y), index))
"""Debiased linear CKA of x (N, D) and y (N, E)."""

kernel_cka = Through(lambda x, index: _first(rbf(x, index), index), lambda y, index: _second(rbf(y, index), index))
"""Debiased CKA with a Gaussian kernel as wide as the median distance."""
