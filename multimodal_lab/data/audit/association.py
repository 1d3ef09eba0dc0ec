"""Association between two categorical variables: how well one predicts the other."""

from __future__ import annotations

import numpy as np
from scipy import stats

DRAWS = 999
WORK = 2e8  # samples times draws beyond which draws are fewer
FEWEST = 199


def table(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(A, B) counts of two classifications (n,), both integers from 0; classes that no sample has are left out."""
    rows, columns = (np.unique(x, return_inverse=True) for x in (a, b))
    size = (len(rows[0]), len(columns[0]))
    return np.bincount(rows[1] * size[1] + columns[1], minlength=size[0] * size[1]).reshape(size)


def cramers_v(counts: np.ndarray) -> float:
    """Cramér's V of a table (A, B), corrected for bias (Bergsma 2013): 0 on average where nothing goes together, 1 where
    one tells the other."""
    n, (rows, columns) = counts.sum(), counts.shape
    if n < 2 or min(rows, columns) < 2:
        return 0.0
    square = max(0.0, chi2(counts) / n - (rows - 1) * (columns - 1) / (n - 1))
    wide = min(rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1)) - 1
    return float(min(1.0, (square / wide) ** 0.5)) if wide > 0 else 0.0


def normalised_information(counts: np.ndarray) -> float:
    """Mutual information over the mean of both entropies: 0 where nothing goes together, 1 where each tells the other."""
    p = counts / counts.sum()
    both, a, b = (_entropy(x) for x in (p, p.sum(1), p.sum(0)))
    return float(max(0.0, 2 * (a + b - both) / (a + b))) if a + b > 0 else 0.0


def chi2(counts: np.ndarray) -> float:
    """Pearson's chi-squared of a table without empty rows and columns."""
    expected = counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
    return float(((counts - expected) ** 2 / expected).sum())


def chance(label: np.ndarray, column: np.ndarray, units: np.ndarray | None = None, seed: int = 0) -> float:
    """p of a chi-squared at least as large where labels are dealt anew, (1 + as large) / (1 + draws).

    label, column (n,): classes. units (n,): samples of one unit keep their label together (it must be one within a unit);
    None: each is dealt by itself, which is drawn as a table of the same margins (Patefield 1981). 999 draws, fewer (199 at
    least) for millions of samples.
    """
    found = chi2(table(label, column)) * (1 - 1e-9)
    if units is None:
        counts = table(label, column)
        # a column of very many values makes very large tables: of these fewer
        draws = int(np.clip(WORK / 10 / counts.size, FEWEST, DRAWS))
        drawn = stats.random_table(counts.sum(1), counts.sum(0), seed=np.random.default_rng(seed)).rvs(draws)
        return float((1 + sum(chi2(one) >= found for one in drawn)) / (1 + draws))
    draws = int(np.clip(WORK / len(label), FEWEST, DRAWS))
    rng = np.random.default_rng(seed)
    _, first, which = np.unique(units, return_index=True, return_inverse=True)
    own = label[first]
    larger = sum(chi2(table(rng.permutation(own)[which], column)) >= found for _ in range(draws))
    return float((1 + larger) / (1 + draws))


def score_alone(
    label: np.ndarray, column: np.ndarray, train: np.ndarray, test: np.ndarray
) -> tuple[float, float, float]:
    """What the column alone scores on the test rows, by the most frequent class of its value in train; what the most
    frequent class alone scores; and the share of test rows whose value train has. (nan, nan, 0) without rows."""
    if not len(train) or not len(test):
        return float("nan"), float("nan"), 0.0
    counts = np.zeros((column.max() + 1, label.max() + 1), dtype=np.int64)
    np.add.at(counts, (column[train], label[train]), 1)
    usual = int(counts.sum(0).argmax())
    known = counts.sum(1) > 0
    said = np.where(known, counts.argmax(1), usual)
    right = said[column[test]] == label[test]
    return float(right.mean()), float((label[test] == usual).mean()), float(known[column[test]].mean())


def _entropy(p: np.ndarray) -> float:
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())
