"""Calibration of probabilities: reliability by bins of confidence, and the expected calibration error."""

from __future__ import annotations

import numpy as np

BINS = 15  # of equal width


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> np.ndarray:
    """(bins, 3): of each bin of confidence how many answers it holds, their mean confidence, the share that is right.

    confidence (n,) in [0, 1], the probability of the answer that was chosen; right (n,) 1 or 0. Bins are (i - 1, i] / bins, as in
    Guo et al. 2017; 0 is in the first. An empty bin has NaN for both means.
    """
    place = np.ceil(np.asarray(confidence, float) * bins).astype(int).clip(1, bins) - 1
    count = np.bincount(place, minlength=bins).astype(float)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(place, np.asarray(x, float), bins) / count for x in (confidence, right)]
    return np.stack([count, *means], 1)


def ece(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error: |share right - mean confidence| of a bin, weighted by its answers. Guo et al. 2017, eq. 3."""
    count, said, true = reliability(confidence, right, bins).T
    return float(np.nansum(count * np.abs(true - said)) / count.sum())


def calibrated_ece(confidence: np.ndarray, bins: int = BINS, draws: int = 30, seed: int = 0) -> float:
    """The mean ECE of answers that are right exactly as often as they say: what chance alone gives so few of them.

    The ECE is never below 0, and so is above its true value with few answers in a bin (Roelofs et al. 2022). Each draw takes an
    answer for right with its own confidence.
    """
    draw = np.random.default_rng(seed)
    return float(np.mean([ece(confidence, draw.random(len(confidence)) < confidence, bins) for _ in range(draws)]))
