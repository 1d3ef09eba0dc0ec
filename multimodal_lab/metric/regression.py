"""Scores of numbers: R², RMSE and MAE, in the unit of the truth."""

from __future__ import annotations

import numpy as np


def scores(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """r2, rmse and mae of predicted (N, P) against truth (N, P), NaN where unknown; means over P.

    R² is NaN where a truth has fewer than two different values.
    """
    known = np.isfinite(truth)
    error = np.where(known, predicted.astype(np.float64) - truth, np.nan)
    spread = np.nanvar(np.where(known, truth.astype(np.float64), np.nan), axis=0)
    square = np.nanmean(error**2, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = np.where(spread > 0, 1 - square / spread, np.nan)
    return {
        "r2": float(r2.mean()),
        "rmse": float(np.sqrt(square).mean()),
        "mae": float(np.nanmean(np.abs(error), 0).mean()),
    }


def gaussian_nll(predicted: np.ndarray, variance: np.ndarray, truth: np.ndarray) -> float:
    """Mean of -log N(truth; predicted, variance) over the known truths, all (N, P), in nats of the truth's unit."""
    value = 0.5 * (np.log(2 * np.pi * variance.astype(np.float64)) + (truth - predicted) ** 2 / variance)
    return float(np.nanmean(value))
