"""Scores of one class a sample from logits: those of the choice, of the ranking, of the probabilities."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from multimodal_lab.metric import calibration, classification


def log_probabilities(logits: Tensor) -> Tensor:
    """Log-softmax (N, K) float64 of logits (N, K), which leaves log-probabilities as they are; (N, 1) is no against yes."""
    z = logits.double()
    return torch.cat([-z, z], 1).mul(0.5).log_softmax(1) if z.shape[1] == 1 else z.log_softmax(1)


def scores(log_p: Tensor, truth: Tensor, bins: int = 15) -> tuple[dict[str, float], dict[str, np.ndarray], np.ndarray]:
    """Scores of all; {recall, f1, average_precision, auroc: (K,)} of each class, NaN where truth has none of it; counts (K, K).

    log_p (N, K) float64; truth (N,) class index below K. auroc and average_precision: one class against the rest, the
    mean over the classes that occur. ece, brier and nll: see `calibration.of_classes`. Counts: row truth, column choice.
    """
    from sklearn.metrics import average_precision_score, confusion_matrix, f1_score, recall_score, roc_auc_score

    k, chosen = log_p.shape[1], log_p.argmax(1)
    y, said = truth.numpy(), chosen.numpy()
    occurs = np.bincount(y, minlength=k) > 0
    ranked = occurs & (np.bincount(y, minlength=k) < len(y))
    one = [(y == i, log_p[:, i].numpy()) for i in range(k)]
    own = {"labels": range(k), "average": None, "zero_division": 0}
    each = {
        "recall": np.where(occurs, recall_score(y, said, **own), np.nan),
        "f1": np.where(occurs, f1_score(y, said, **own), np.nan),
        "average_precision": np.array(
            [average_precision_score(*o) if there else np.nan for o, there in zip(one, occurs, strict=True)]
        ),
        "auroc": np.array([roc_auc_score(*o) if there else np.nan for o, there in zip(one, ranked, strict=True)]),
    }
    found = classification.scores(chosen, truth, k)
    found |= {
        name: float(np.nanmean(each[name])) if np.isfinite(each[name]).any() else float("nan")
        for name in ("average_precision", "auroc")
    }
    found |= calibration.of_classes(log_p, truth, bins)
    return found, each, confusion_matrix(y, said, labels=range(k))
