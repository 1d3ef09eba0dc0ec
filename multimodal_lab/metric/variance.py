"""Share of embedding variance explained by a label."""

from __future__ import annotations

import numpy as np


def explained(x: np.ndarray, labels: np.ndarray) -> float:
    """Between-class over total sum of squares of x (N, D) under labels (N,), 0 to 1; NaN if x has no spread.

    It is eta squared summed over dimensions (the R2 of a multivariate ANOVA, Anderson 2001) and grows with the number
    of classes: without any effect its expectation is (K - 1) / (N - 1).
    """
    x = x.astype(np.float64)
    _, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), x.shape[1]))
    np.add.at(sums, index, x)
    centre = x.mean(0)
    between = (counts * np.square(sums / counts[:, None] - centre).sum(1)).sum()
    total = np.square(x - centre).sum()
    return float(between / total) if total > 0 else float("nan")
