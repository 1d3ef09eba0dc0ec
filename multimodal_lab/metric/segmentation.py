"""Scores of maps, from what each sample adds to them: no map is kept until the end."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def counts(logits: Tensor, truth: Tensor) -> Tensor:
    """(N, K, K) int64: pixels of each sample by true class (row) and chosen class (column).

    logits (N, K, H, W), K = 1: no against yes; truth (N, H, W) class index, -1 where nobody knows. Others are a `ValueError`.
    """
    n, k = logits.shape[:2]
    if truth.shape != (n, *logits.shape[2:]):
        raise ValueError(f"maps of {tuple(logits.shape)} are scored against {tuple(truth.shape)}")
    chosen = logits.argmax(1)
    known = truth >= 0
    rows = torch.arange(n, device=truth.device).view(-1, 1, 1)
    places = ((rows * k + truth) * k + chosen)[known]
    return torch.bincount(places, minlength=n * k * k).view(n, k, k)


def sums(said: Tensor, truth: Tensor) -> Tensor:
    """(N, 5) float64 of each sample: how many pixels are known, the sums of y and y², of the squared and the absolute error.

    said (N, 1, H, W) and truth (N, H, W), NaN where nobody knows.
    """
    known = torch.isfinite(truth)
    y = torch.where(known, truth, 0).double()
    error = torch.where(known, said[:, 0].double() - y, 0)
    parts = (known.double(), y, y.square(), error.square(), error.abs())
    return torch.stack([x.flatten(1).sum(1) for x in parts], 1)


def of_counts(found: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
    """miou, pixel_accuracy, class_accuracy and n_absent of counts (K, K); and the IoU (K,) of each class.

    IoU of a class: right / (true or chosen) (Everingham et al. 2010, section 4.1); NaN where no pixel is of it nor called so,
    and miou is the mean of the others. class_accuracy: the mean share of right pixels of the classes that occur; n_absent:
    how many don't.
    """
    right, true, chosen = np.diag(found).astype(float), found.sum(1), found.sum(0)
    with np.errstate(invalid="ignore"):
        iou = right / (true + chosen - right)
        recall = right / true
    return {
        "miou": float(np.nanmean(iou)),
        "pixel_accuracy": float(right.sum() / true.sum()),
        "class_accuracy": float(np.nanmean(recall)),
        "n_absent": float((true == 0).sum()),
    }, iou


def of_sums(found: np.ndarray) -> dict[str, float]:
    """pixel_rmse, pixel_mae and r2 of sums (5,); r2 is NaN where all pixels are of one value."""
    n, y, square, error, absolute = found
    spread = square - y * y / n
    return {
        "pixel_rmse": float(np.sqrt(error / n)),
        "pixel_mae": float(absolute / n),
        "r2": float(1 - error / spread) if spread > 1e-12 * max(square, 1e-300) else float("nan"),
    }
