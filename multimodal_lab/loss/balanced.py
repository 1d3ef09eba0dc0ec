"""`balanced` weights of a loss, from how often the training split has each class."""

from __future__ import annotations

import numpy as np

BALANCED = "balanced"


def weights(argument: str, values: np.ndarray, classes: int) -> list[float]:
    """One number a class. values: the training split's label, (n,) class index or (n, K) 0/1, -1 or NaN where unknown.

    pos_weight: negatives a positive, so that both sides of a class weigh alike in sum; class_weight: n / (K n_k), so that all
    classes do (King and Zeng 2001, as scikit-learn's `balanced`). A class without a positive or a negative has 1.
    """
    known = values >= 0
    if values.ndim == 1:
        values = np.where(known, values, 0).astype(np.int64)
        positives = np.bincount(values[known], minlength=classes).astype(float)
        n = np.full(classes, float(known.sum()))
    else:
        positives, n = (known & (values > 0)).sum(0).astype(float), known.sum(0).astype(float)
    usable = (positives > 0) & (positives < n)
    parts = np.where(usable, positives, 1)
    ratio = (n - positives) / parts if argument == "pos_weight" else n / (max(1, int((positives > 0).sum())) * parts)
    found: list[float] = np.where(usable, ratio, 1.0).tolist()
    return found
