"""Corrected resampled t-test (Nadeau & Bengio), for splits whose training sets overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class CorrectedTTest:
    """Mean difference over splits with its corrected standard error, t, degrees of freedom and two-sided p."""

    mean: float
    se: float
    t: float
    df: int
    p: float


def corrected_variance(splits: np.ndarray, test_per_train: float) -> float:
    """Variance of the mean of splits (R,): (1/R + n_test/n_train) s^2. Nadeau & Bengio 2003."""
    return float((1 / len(splits) + test_per_train) * np.var(splits, ddof=1))


def nadeau_bengio(splits: np.ndarray, test_per_train: float) -> CorrectedTTest:
    """Corrected resampled t-test of the mean difference over repeated splits.

    splits (R,), R >= 2: one difference for each split; test_per_train: test samples per training sample, 0.25 for 80/20
    (and for 5-fold cross-validation). With 0 it is the plain paired t-test, which takes overlapping splits for
    independent and finds differences that aren't there. Nadeau & Bengio 2003; Bouckaert & Frank 2004.
    """
    splits = np.asarray(splits, float)
    if splits.ndim != 1 or len(splits) < 2:
        raise ValueError(f"splits are {splits.shape}, expected the differences of 2 or more")
    if test_per_train < 0:
        raise ValueError(f"test_per_train={test_per_train:g}, expected >= 0")
    mean, se, df = float(splits.mean()), corrected_variance(splits, test_per_train) ** 0.5, len(splits) - 1
    if se == 0:
        return CorrectedTTest(mean, 0.0, float(np.sign(mean)) * np.inf if mean else 0.0, df, float(mean == 0))
    t = mean / se
    return CorrectedTTest(mean, se, t, df, float(2 * stats.t.sf(abs(t), df)))
