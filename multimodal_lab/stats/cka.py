"""Centred kernel alignment (CKA) of two spaces."""

from __future__ import annotations

import numpy as np

from multimodal_lab.stats.resample import Through


def linear(x: np.ndarray) -> np.ndarray:
    """Gram matrix (N, N) of the rows of x (N, D)."""
    gram: np.ndarray = x @ x.T
    return gram


def rbf(x: np.ndarray, width: float = 1.0) -> np.ndarray:
    """Gaussian kernel (N, N): exp(-d^2 / 2 s^2), s = width x the median distance of two rows. Kornblith et al. 2019, 3."""
    norms = (x**2).sum(1)
    square = np.maximum(norms[:, None] + norms - 2 * x @ x.T, 0)
    # rounding leaves a trace of distance between a row and itself
    np.fill_diagonal(square, 0)
    median = float(np.median(square[np.triu_indices(len(x), 1)]))
    kernel: np.ndarray = np.exp(-square / (2 * width**2 * median)) if median > 0 else np.ones_like(square)
    return kernel


def hsic(k: np.ndarray, m: np.ndarray) -> float:
    """Unbiased Hilbert-Schmidt independence of two kernels (N, N), N >= 4. Song et al. 2012, equation 5."""
    n = len(k)
    if n < 4:
        raise ValueError(f"HSIC needs at least 4 samples, got {n}")
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    rows = k.sum(1) @ m.sum(1)
    total = (k * m).sum() + k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 * rows / (n - 2)
    return float(total / (n * (n - 3)))


def hsic_biased(k: np.ndarray, m: np.ndarray) -> float:
    """tr(KHLH) / (N - 1)^2. Gretton et al. 2005, definition 2."""
    centred = k - k.mean(0) - k.mean(1, keepdims=True) + k.mean()
    return float((centred * m).sum() / (len(k) - 1) ** 2)


def alignment(k: np.ndarray, m: np.ndarray, debiased: bool = True) -> float:
    """CKA of two kernels: HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)); Kornblith et al. 2019, equation 4.

    With few samples and wide spaces the plain estimate is near 1 for anything; the debiased one is near 0 for
    unrelated spaces, and may be below it (Murphy, Zylberberg & Fyshe 2024). NaN where a space is constant.
    """
    of = hsic if debiased else hsic_biased
    scale = of(k, k) * of(m, m)
    return float(of(k, m) / scale**0.5) if scale > 0 else float("nan")


linear_cka = Through(lambda x: linear(x - x.mean(0)), alignment)
"""Debiased linear CKA of x (N, D) and y (N, E)."""

kernel_cka = Through(rbf, alignment)
"""Debiased CKA with a Gaussian kernel as wide as the median distance."""
