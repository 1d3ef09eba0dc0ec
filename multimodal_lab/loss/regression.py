"""Losses of numbers. A missing number (NaN) is ignored; means are over the known numbers of all DDP ranks.

predicted (N, P) and target (N, P), or (N,) for P = 1, in the label's unit; scale (P,) or None: what one unit of the loss is, the
standard deviation of the training split, so that labels of any unit weigh alike.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from multimodal_lab.bounds import Positive
from multimodal_lab.loss.precision import mean_over_all, wide

squared_error = True  # all of them count as one among tasks of learned weights, as numbers do in Kendall 2018
below_zero = ("gaussian_nll",)


def mse(predicted: Tensor, target: Tensor, scale: Tensor | None = None) -> Tensor:
    """Mean squared error: a scalar, 0 with a graph where nothing is known."""
    x, y, known = _scaled("mse", predicted, target, scale)
    return mean_over_all((x - y).square(), known)


def mae(predicted: Tensor, target: Tensor, scale: Tensor | None = None) -> Tensor:
    """Mean absolute error: a scalar."""
    x, y, known = _scaled("mae", predicted, target, scale)
    return mean_over_all((x - y).abs(), known)


def huber(predicted: Tensor, target: Tensor, scale: Tensor | None = None, delta: Positive = 1.0) -> Tensor:
    """Squared up to `delta`, then straight (Huber 1964): a scalar."""
    x, y, known = _scaled("huber", predicted, target, scale)
    return mean_over_all(F.huber_loss(x, y, reduction="none", delta=delta), known)


def gaussian_nll(predicted: Tensor, target: Tensor, scale: Tensor | None = None) -> Tensor:
    """(log variance + squared error / variance) / 2 (Nix & Weigend 1994): a scalar, without its constant.

    predicted (N, 2P): numbers, then their variances in the unit's square, as `head=regressor` gives them with `variance`.
    """
    p = 1 if target.ndim == 1 else target.shape[1]
    if predicted.shape[1] != 2 * p:
        raise ValueError(
            f"loss=gaussian_nll needs a variance beside each of {p} numbers, found {predicted.shape[1]} columns; "
            "give head.variance=true"
        )
    x, y, known = _scaled("gaussian_nll", predicted[:, :p], target, scale)
    variance = wide(predicted[:, p:]) / (1 if scale is None else scale.square())
    return mean_over_all(0.5 * (variance.log() + (x - y).square() / variance), known)


def _scaled(name: str, predicted: Tensor, target: Tensor, scale: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Both (N, P) in units of `scale`, and which targets are known; unknown ones are 0."""
    y = target[:, None] if target.ndim == 1 else target
    if not y.is_floating_point() or y.shape != predicted.shape:
        raise ValueError(
            f"loss={name}: predicted {tuple(predicted.shape)} against target {tuple(target.shape)} {target.dtype}; expected "
            "numbers of one shape: is the label a number?"
        )
    known = torch.isfinite(y)
    by = 1 if scale is None else scale
    x = wide(predicted)
    return x / by, torch.where(known, y, 0).to(x.dtype) / by, known
