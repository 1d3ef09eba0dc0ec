"""Holm's correction for multiple comparisons."""

from __future__ import annotations

import numpy as np


def holm(p: np.ndarray) -> np.ndarray:
    """Adjusted p-values in the order given, (n,): each stays below alpha with family-wise error at most alpha.

    All claims of one kind that a report makes belong in one call. Holm 1979: the k-th smallest of n times n - k + 1, and never
    below the one before.
    """
    p = np.asarray(p, float)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p is {p.tolist()}, expected a list of numbers in [0, 1]")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted
