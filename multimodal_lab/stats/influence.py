"""Scores that are no mean over samples, as the mean of pseudo-values, one a sample.

With weights w on the samples such a score T(w) has the influence values N dT/dw (the infinitesimal jackknife: Jaeckel 1972; Efron
1982, chapter 6). They sum to 0, and T + influence has the mean T, so that the study's test of means takes
these for scores of samples. Of the AUROC they are the structural components of DeLong, DeLong & Clarke-Pearson 1988; summed by
group they are Obuchowski's (1997). A class in few groups moves more than a derivative says when one of them is left
out: influence is multiplied by G / (G - 1) of its class, as leaving a group out does to a mean.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import rankdata

from multimodal_lab.stats.answers import Answers, in_groups, usable

Part = tuple[float, np.ndarray]  # a score, and the influence of each sample (n,)


def recall(truth: np.ndarray, said: np.ndarray) -> Part:
    """The share of `truth` (n,) bool that `said` (n,) bool finds."""
    found = float(said[truth].mean())
    return found, truth * (said - found) / truth.mean()


def f1(truth: np.ndarray, said: np.ndarray) -> Part:
    """F1 of `said` (n,) bool, 2 TP / (true + said)."""
    whole = float(truth.sum() + said.sum())
    found = 2 * float((truth & said).sum()) / whole
    return found, len(truth) * (2.0 * (truth & said) - found * (truth.astype(float) + said)) / whole


def area(truth: np.ndarray, said: np.ndarray) -> Part:
    """AUROC: how often a sample of `truth` (n,) bool has more of `said` (n,) than another; ties count half."""
    above = _above(truth, said)
    found = float(above[truth].mean())
    return found, (above - found) / np.where(truth, truth.mean(), (~truth).mean())


def precision(truth: np.ndarray, said: np.ndarray) -> Part:
    """Average precision: the mean over `truth` (n,) bool of the precision at its own value of `said` (n,)."""
    n1, at, count = float(truth.sum()), _precision(truth, said), _at_least(said, said)
    found = float(at[truth].mean())
    order = np.argsort(said[truth], kind="stable")
    below = np.searchsorted(said[truth][order], said, "right")  # those of truth that a sample counts for
    one, own = (np.append(0.0, np.cumsum(x[truth][order])) for x in (1 / count, at / count))
    return found, len(truth) / n1 * (truth * (at - found) + truth * one[below] - own[below])


def balanced_accuracy(a: Answers) -> np.ndarray:
    """Mean recall over classes; of several 0/1 labels the mean of both recalls of each."""

    def both(truth: np.ndarray, said: np.ndarray) -> Part:
        (one, own), (zero, other) = recall(truth, said), recall(~truth, ~said)
        return (one + zero) / 2, (own + other) / 2

    return _over(a, both if a.kind == "labels" else recall, _choice)


def macro_f1(a: Answers) -> np.ndarray:
    """Mean F1 over classes or labels."""
    return _over(a, f1, _choice)


def auroc(a: Answers) -> np.ndarray:
    """Mean AUROC of each class against the rest, or of each label."""
    return _over(a, area, _output)


def average_precision(a: Answers) -> np.ndarray:
    """Mean average precision of each class against the rest, or of each label."""
    return _over(a, precision, _output)


def ranked_above(a: Answers) -> np.ndarray:
    """The share of samples of other classes to which the true class is given less; of labels the pseudo-value."""
    return auroc(a) if a.kind == "labels" else _own_class(a, _above)


def precision_at(a: Answers) -> np.ndarray:
    """The precision of the true class at the sample's own probability; of labels the pseudo-value."""
    return average_precision(a) if a.kind == "labels" else _own_class(a, _precision)


def _over(a: Answers, part: Callable[[np.ndarray, np.ndarray], Part], said: Callable[..., np.ndarray]) -> np.ndarray:
    """The mean over what is `usable` of a score's pseudo-values."""
    use = usable(a.kind, a.truth, a.groups)
    if not len(use):
        return np.full(len(a), np.nan)
    found = np.zeros(len(a))
    for k in use:
        truth = a.truth[:, k] > 0 if a.kind == "labels" else a.truth == k
        score, influence = part(truth, said(a, k))
        few = [in_groups(rows, a.groups) for rows in (~truth, truth)]
        moved = influence * np.array([g / max(1, g - 1) for g in few])[truth.astype(int)]
        found += score + moved - moved.mean()
    return np.asarray(found / len(use))


def _choice(a: Answers, k: int) -> np.ndarray:
    return np.asarray(a.predicted[:, k] > 0 if a.kind == "labels" else a.predicted == k)


def _output(a: Answers, k: int) -> np.ndarray:
    return a.said[:, k] if k < a.said.shape[1] else np.zeros(len(a))


def _own_class(a: Answers, of: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    found = np.zeros(len(a))
    for k in np.unique(a.truth):
        rows = a.truth == k
        if not rows.all():
            found[rows] = of(rows, _output(a, k))[rows]
    return found


def _above(truth: np.ndarray, said: np.ndarray) -> np.ndarray:
    """Of each of `truth` the share of the others below it, of each other the share of `truth` above it."""
    rank, ones = rankdata(said), float(truth.sum())
    inside = np.zeros(len(truth))
    for rows in (truth, ~truth):
        inside[rows] = rankdata(said[rows])
    lower = rank - inside  # of the other kind
    return np.asarray(np.where(truth, lower / (len(truth) - ones), 1 - lower / ones))


def _precision(truth: np.ndarray, said: np.ndarray) -> np.ndarray:
    return np.asarray(_at_least(said[truth], said) / _at_least(said, said))


def _at_least(among: np.ndarray, said: np.ndarray) -> np.ndarray:
    """How many of `among` have as much as each of `said`, or more."""
    return np.asarray(len(among) - np.searchsorted(np.sort(among), said, "left"), float)
