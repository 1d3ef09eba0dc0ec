"""Scores of several 0/1 labels a sample, over samples, classes or both."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score


def scores(
    chances: np.ndarray, predicted: np.ndarray, truth: np.ndarray
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Scores of all, and {f1, ap, auroc: (K,)} of each class, NaN where a class has no positive (for auroc: or no negative).

    chances (N, K), larger is likelier; predicted (N, K) bool; truth (N, K) 0/1, -1 or NaN where unknown: such a label is
    left out. macro_*: the mean over the classes that have a positive; micro_*: of all labels as one; sample_f1: the mean
    over samples, 1 where there is nothing to find and nothing was found; labels_right: the share of labels that are
    right; all_right: of samples without a wrong one.
    """
    known = truth >= 0
    yes, said = known & (truth > 0), known & predicted
    hits, total = yes & said, yes.astype(int) + said
    right = (said == yes)[known]
    each = {
        "f1": np.where(yes.any(0), _share(2 * hits.sum(0), total.sum(0)), np.nan),
        "ap": np.array([_of(average_precision_score, yes[k, i], chances[k, i]) for i, k in enumerate(known.T)]),
        "auroc": np.array([_of(roc_auc_score, yes[k, i], chances[k, i], True) for i, k in enumerate(known.T)]),
    }
    micro = yes[known], chances[known]
    found = {f"macro_{name}": _mean(values) for name, values in each.items()}
    found |= {"micro_f1": float(_share(2 * hits.sum(), total.sum())), "micro_ap": _of(average_precision_score, *micro),
              "micro_auroc": _of(roc_auc_score, *micro, True),
              "sample_f1": float(_share(2 * hits.sum(1), total.sum(1), 1.0).mean()),
              "labels_right": float(right.mean()), "all_right": float(((said == yes) | ~known).all(1).mean()),
              "n_absent": float((~yes.any(0)).sum())}  # fmt: skip
    return found, each


def best_thresholds(chances: np.ndarray, truth: np.ndarray, otherwise: float) -> np.ndarray:
    """(K,) the threshold of each class that gives the best F1, of equal ones the highest; `otherwise` without positives."""
    found = np.full(truth.shape[1], otherwise)
    for i, known in enumerate((truth >= 0).T):
        y, p = truth[known, i] > 0, chances[known, i]
        if y.any():
            precision, recall, at = precision_recall_curve(y, p)
            f1 = _share(2 * precision * recall, precision + recall)[:-1]
            best = len(f1) - 1 - int(f1[::-1].argmax())
            # halfway to the next lower chance: what is predicted is what lies above
            found[i] = (at[best] + at[best - 1]) / 2 if best else at[best] / 2
    return found


def _of(score: object, y: np.ndarray, p: np.ndarray, both: bool = False) -> float:
    return float(score(y, p)) if y.any() and not (both and y.all()) else float("nan")  # type: ignore[operator]


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _share(part: np.ndarray, whole: np.ndarray, nothing: float = 0.0) -> np.ndarray:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), nothing)
