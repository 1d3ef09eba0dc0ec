"""Scores of several 0/1 labels a sample: of each class, over classes, over all labels as one, and over samples.

What has no denominator is told, not counted as 0. A class without a positive has no average precision, AUROC, F1, F2,
precision or recall, and a class without a negative no AUROC or specificity: both are NaN, and in no mean. torchmetrics counts
such a class as 0 in some scores and leaves it out of others. A sample without a positive has no average precision or AUROC;
its F1, F2, precision and recall are 1 where nothing was said of it, and 0 where anything was.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RANKED = ("average_precision", "auroc")
COUNTED = ("f1", "f2", "precision", "recall", "specificity", "accuracy")


@dataclass(frozen=True)
class Scores:
    """means: `<score>_macro`, `_micro` and `_samplewise` of `RANKED` and `COUNTED`, exact_match and n_absent.

    each: {score: (K,)} of each class; counts: {n, positives, tp, fp, fn, tn: (K,) int} over its known labels.
    """

    means: dict[str, float]
    each: dict[str, np.ndarray]
    counts: dict[str, np.ndarray]

    @property
    def absent(self) -> np.ndarray:
        """(K,) bool: the classes that have no positive."""
        return np.asarray(self.counts["positives"] == 0)


def scores(ranked: np.ndarray, predicted: np.ndarray, truth: np.ndarray) -> Scores:
    """Scores of N samples of K classes; see the top of this file for what has no denominator.

    ranked (N, K): any numbers, larger is likelier; predicted (N, K) bool; truth (N, K) 0/1, -1 or NaN where unknown: such a
    label is left out. macro: the mean over classes; micro: of all labels as one; samplewise: the mean over samples.
    exact_match: the share of samples without a wrong label; n_absent: how many classes have no positive.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    known = truth >= 0
    yes, said = known & (truth > 0), known & predicted
    cells = {"tp": yes & said, "fp": said & ~yes, "fn": yes & ~said, "tn": known & ~yes & ~said}
    counts = {name: cell.sum(0) for name, cell in cells.items()}
    each = _counted(**counts, empty=False) | {
        "average_precision": np.array([_of(average_precision_score, yes[k, i], ranked[k, i]) for i, k in enumerate(known.T)]),
        "auroc": np.array([_of(roc_auc_score, yes[k, i], ranked[k, i], True) for i, k in enumerate(known.T)]),
    }  # fmt: skip
    whole = _counted(**{name: np.array([count.sum()]) for name, count in counts.items()}, empty=False)
    sample = _counted(**{name: cell.sum(1) for name, cell in cells.items()}, empty=True) | _ranked(ranked, yes, known)
    means = {f"{name}_macro": _mean(each[name]) for name in (*RANKED, *COUNTED)}
    means |= {f"{name}_micro": float(whole[name][0]) for name in COUNTED}
    means["average_precision_micro"] = _of(average_precision_score, yes[known], ranked[known])
    means["auroc_micro"] = _of(roc_auc_score, yes[known], ranked[known], True)
    means |= {f"{name}_samplewise": _mean(sample[name]) for name in (*RANKED, *COUNTED)}
    means["exact_match"] = float(((said == yes) | ~known).all(1).mean())
    means["n_absent"] = float((~yes.any(0)).sum())
    return Scores(means, each, {"n": known.sum(0), "positives": yes.sum(0), **counts})


def best_thresholds(chances: np.ndarray, truth: np.ndarray, otherwise: float) -> np.ndarray:
    """(K,) the threshold of each class that gives the best F1, of equal ones the highest; `otherwise` without positives."""
    from sklearn.metrics import precision_recall_curve

    found = np.full(truth.shape[1], otherwise)
    for i, known in enumerate((truth >= 0).T):
        y, p = truth[known, i] > 0, chances[known, i]
        if y.any():
            precision, recall, at = precision_recall_curve(y, p)
            f1 = _share(2 * precision * recall, precision + recall, 0.0)[:-1]
            best = len(f1) - 1 - int(f1[::-1].argmax())
            # halfway to the next lower chance: what is predicted is what lies above
            found[i] = (at[best] + at[best - 1]) / 2 if best else at[best] / 2
    return found


def _counted(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, tn: np.ndarray, *, empty: bool) -> dict[str, np.ndarray]:
    """`COUNTED` of counts of any one shape. empty: without a positive the first four are 1 where nothing was said, else NaN."""
    positives = tp + fn
    without = np.where(fp == 0, np.where(tn > 0, 1.0, np.nan), 0.0) if empty else np.full(tp.shape, np.nan)
    found = {
        "f1": _share(2 * tp, 2 * tp + fp + fn, 0.0),
        "f2": _share(5 * tp, 5 * tp + fp + 4 * fn, 0.0),
        "precision": _share(tp, tp + fp, 0.0),
        "recall": _share(tp, positives, 0.0),
    }
    found = {name: np.where(positives > 0, values, without) for name, values in found.items()}
    return found | {"specificity": _share(tn, tn + fp), "accuracy": _share(tp + tn, tp + fp + fn + tn)}


def _ranked(x: np.ndarray, yes: np.ndarray, known: np.ndarray) -> dict[str, np.ndarray]:
    """`RANKED` of each sample (N,), as scikit-learn has them; equal numbers are one step, as there."""
    from scipy.stats import rankdata

    n, k = x.shape
    x = np.where(known, x, -np.inf)
    ranks, order = rankdata(x, axis=1), np.argsort(-x, axis=1, kind="stable")
    x, hits, there = (np.take_along_axis(a, order, axis=1) for a in (x, yes, known))
    ends = np.ones((n, k), dtype=bool)
    ends[:, :-1] = x[:, 1:] != x[:, :-1]
    last = np.minimum.accumulate(np.where(ends, np.arange(k), k)[:, ::-1], axis=1)[
        :, ::-1
    ]  # of the run of equal numbers
    found, seen = (np.take_along_axis(a.cumsum(1), last, axis=1) for a in (hits, there))
    positives = yes.sum(1)
    negatives = known.sum(1) - positives
    above = np.where(yes, ranks - (~known).sum(1)[:, None], 0).sum(1) - positives * (positives + 1) / 2
    return {
        "average_precision": _share((hits * _share(found, seen, 0.0)).sum(1), positives),
        "auroc": _share(above, positives * negatives),
    }


def _of(score: object, y: np.ndarray, x: np.ndarray, both: bool = False) -> float:
    return float(score(y, x)) if y.any() and not (both and y.all()) else float("nan")  # type: ignore[operator]


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _share(part: np.ndarray, whole: np.ndarray, nothing: float = np.nan) -> np.ndarray:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), nothing)
