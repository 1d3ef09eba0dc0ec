"""Calibration of probabilities: the expected calibration error, the Brier score and the log loss."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

BINS = 15  # of equal width


def of_classes(log_p: Tensor, truth: Tensor, bins: int = BINS) -> dict[str, float]:
    """ece, brier and nll of one class a sample: log-probabilities (N, K) float64 and class indices (N,).

    ece: of the chosen class over `bins` of equal width (Guo et al. 2017, eq. 3). brier: the mean over samples of the summed
    squared errors of all K probabilities, 0 to 2, of two classes half of that, 0 to 1 (Brier 1950, eq. 2, as scikit-learn
    scales it and as studies have it). nll: the mean -log p of the truth.
    """
    from torchmetrics.functional.classification import (
        multiclass_calibration_error,  # two seconds, which no start waits for
    )

    k, p = log_p.shape[1], log_p.exp().clamp(max=1)
    wrong = (p - F.one_hot(truth, k)).square().sum(1)
    return {
        "ece": float(multiclass_calibration_error(p, truth, num_classes=k, n_bins=bins)),
        "brier": float(wrong.mean() / (2 if k == 2 else 1)),
        "nll": float(-log_p[torch.arange(len(truth)), truth].mean()),
    }


def of_probabilities(p: Tensor, truth: Tensor, bins: int = BINS) -> dict[str, float]:
    """The same of probabilities (N, K); no nll where the truth of a row has none, as a class without training rows."""
    return _finite(of_classes(p.log(), truth, bins))


def of_labels(logits: np.ndarray, truth: np.ndarray, bins: int = BINS) -> dict[str, float]:
    """The same of several 0/1 labels, each an answer of its own; {} where none is known.

    logits (N, K); truth (N, K) 0/1, -1 or NaN where unknown. ece: of yes or no, whichever is likelier. brier: the mean
    squared error of the probability of yes, 0 to 1. nll: the mean binary cross-entropy, left out where it is infinite.
    """
    known = truth >= 0
    if not known.any():
        return {}
    z, t = torch.as_tensor(logits[known]).double(), torch.as_tensor(truth[known] > 0).long()
    return _finite(of_classes(F.logsigmoid(torch.stack([-z, z], 1)), t, bins))


def _finite(found: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in found.items() if np.isfinite(value)}
