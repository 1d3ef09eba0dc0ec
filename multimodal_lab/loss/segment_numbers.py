"""Losses of a map of numbers. A pixel that nobody knows (NaN) is ignored.

predicted (N, 1, H, W) and target (N, H, W), in the map's unit; scale (1,) or None: what one unit of the loss is, as in
`loss.regression`. Means are over the known pixels of all DDP ranks.
"""

from __future__ import annotations

from torch import Tensor

from multimodal_lab.loss import regression

targets = ("(N, H, W) float",)


def mae(predicted: Tensor, target: Tensor, scale: Tensor | None = None) -> Tensor:
    """Mean absolute error: a scalar, 0 with a graph where nothing is known."""
    return regression.mae(*_flat(predicted, target), scale)


def mse(predicted: Tensor, target: Tensor, scale: Tensor | None = None) -> Tensor:
    """Mean squared error: a scalar."""
    return regression.mse(*_flat(predicted, target), scale)


def _flat(predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    if predicted.ndim != 4 or predicted.shape[1] != 1 or target.shape != predicted[:, 0].shape:
        raise ValueError(
            f"a loss of a map of numbers: predicted {tuple(predicted.shape)} against a map of {tuple(target.shape)} "
            f"{target.dtype}; expected one number a pixel, (N, 1, H, W): a map with names holds classes (loss=segment)"
        )
    return predicted.flatten()[:, None], target.flatten()[:, None]
