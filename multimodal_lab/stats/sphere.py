"""Geometry of two modalities on the unit sphere: mutual neighbours, modality gap, alignment, uniformity."""

from __future__ import annotations

import numpy as np


def unit(x: np.ndarray) -> np.ndarray:
    """Rows of x (N, D) made unit; a zero row stays zero."""
    rows: np.ndarray = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return rows


def mutual_knn(x: np.ndarray, y: np.ndarray, k: int = 10) -> float:
    """Mean share of the k nearest neighbours by cosine that both spaces name, 0 to 1; chance is k / (N - 1).

    x (N, D), y (N, E), N > k; a row isn't its own neighbour. Huh et al. 2024, appendix A.
    """
    if not 1 <= k < len(x):
        raise ValueError(f"k={k}, expected 1 to {len(x) - 1} for {len(x)} samples")
    return float((_neighbours(x, k) & _neighbours(y, k)).sum() / (k * len(x)))


def modality_gap(x: np.ndarray, y: np.ndarray) -> float:
    """Distance between the centres of two unit embeddings of one width, 0 to 2. Liang et al. 2022."""
    _one_width(x, y)
    return float(np.linalg.norm(unit(x).mean(0) - unit(y).mean(0)))


def alignment(x: np.ndarray, y: np.ndarray, alpha: float = 2.0) -> float:
    """`metric.hypersphere.alignment` of x, y (N, D): 0 is best."""
    # Imported here, as torch takes a second that the rest of `stats` does without.
    import torch

    from multimodal_lab.metric import hypersphere

    _one_width(x, y)
    return hypersphere.alignment(torch.tensor(x), torch.tensor(y), alpha)


def uniformity(x: np.ndarray, t: float = 2.0) -> float:
    """`metric.hypersphere.uniformity` of x (N, D): lower spreads more."""
    import torch  # see `alignment`

    from multimodal_lab.metric import hypersphere

    return hypersphere.uniformity(torch.tensor(x), t)


def _neighbours(x: np.ndarray, k: int) -> np.ndarray:
    near = unit(x) @ unit(x).T
    np.fill_diagonal(near, -np.inf)
    named = np.zeros(near.shape, bool)
    np.put_along_axis(named, np.argpartition(-near, k - 1, axis=1)[:, :k], True, axis=1)
    return named


def _one_width(x: np.ndarray, y: np.ndarray) -> None:
    if x.shape != y.shape:
        raise ValueError(
            f"embeddings are {x.shape} and {y.shape}, expected one width: the two are compared in one space"
        )
