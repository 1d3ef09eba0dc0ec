"""Scores that are means over samples: what each sample gives, (n,)."""

from __future__ import annotations

import numpy as np

from multimodal_lab.stats.answers import Answers

LEAST = float(np.finfo(np.float32).eps)  # of a probability in a logarithm, as scikit-learn has it for 32-bit numbers


def right(a: Answers) -> np.ndarray:
    """1 for the right class, 0 for another; the share of several 0/1 labels that are right."""
    same = np.asarray(a.predicted == a.truth, float)
    return same if same.ndim == 1 else same.mean(1)


def log_loss(a: Answers) -> np.ndarray:
    """Minus the logarithm (nats) of the probability of the truth, taken at `LEAST` or more; of several labels their mean."""
    if a.kind == "labels":
        p = np.where(a.truth > 0, a.said, 1 - a.said)
        return np.asarray(-np.log(p.clip(LEAST, 1)).mean(1))
    return np.asarray(-np.log(_own(a).clip(LEAST, 1)))


def brier(a: Answers) -> np.ndarray:
    """Squared distance of the probabilities from the truth: of two classes half the sum over both, of more the sum.

    Brier 1950, as scikit-learn scales it; of several 0/1 labels the mean over them.
    """
    if a.kind == "labels":
        return np.asarray(((a.said - a.truth) ** 2).mean(1))
    found = 1 - 2 * _own(a) + (a.said**2).sum(1)
    return np.asarray(found / 2 if a.said.shape[1] == 2 else found)


def squared_error(a: Answers) -> np.ndarray:
    """Squared error in the label's unit squared; of several numbers their mean."""
    return np.asarray(((a.said - a.truth) ** 2).mean(1))


def absolute_error(a: Answers) -> np.ndarray:
    """Absolute error in the label's unit; of several numbers their mean."""
    return np.asarray(np.abs(a.said - a.truth).mean(1))


def r2(a: Answers) -> np.ndarray:
    """1 - squared error over the variance of the truth, whose mean is R²; NaN where the truth is constant."""
    variance = a.truth.var(0)
    return np.asarray((1 - (a.said - a.truth) ** 2 / np.where(variance > 0, variance, np.nan)).mean(1))


def _own(a: Answers) -> np.ndarray:
    """The probability of the true class; 0 of a class that the evaluator doesn't know."""
    known = a.truth < a.said.shape[1]
    return np.where(known, a.said[np.arange(len(a)), np.where(known, a.truth, 0)], 0.0)
