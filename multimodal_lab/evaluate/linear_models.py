"""Linear models of embeddings at several strengths C: logistic and ridge regression."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from multimodal_lab.metric import logistic

Model = Callable[[Tensor], Tensor]
Fit = Callable[[Tensor, Tensor, Sequence[float]], list[Model]]
Score = Callable[[Tensor, Tensor], float]


def by_logistic(link: logistic.Link) -> Fit:
    """Logits (N, K) of x (N, D), fitted to y (N, K), see `metric.logistic.fit`."""

    def fit(x: Tensor, y: Tensor, strengths: Sequence[float]) -> list[Model]:
        return [partial(logistic.predict, w=w) for w in logistic.fit(x, y, strengths, link)]

    return fit


def by_ridge(x: Tensor, y: Tensor, strengths: Sequence[float]) -> list[Model]:
    """Values (N, P) of x (N, D), fitted to y (N, P)."""
    from sklearn.linear_model import Ridge

    # alpha = 1 / C on the summed squared error, as C does for the logistic loss
    return [partial(_predict, Ridge(alpha=1 / c).fit(x.double().numpy(), y.numpy())) for c in strengths]


def _predict(model: Any, x: Tensor) -> Tensor:
    return torch.as_tensor(model.predict(x.double().numpy())).reshape(len(x), -1)


def r2(predicted: Tensor, truth: Tensor) -> float:
    """R² of values (N, P); NaN of fewer than two rows."""
    from torchmetrics.functional import r2_score  # two seconds, see `metric.calibration`

    return float(r2_score(predicted.double(), truth.double())) if len(truth) > 1 else float("nan")
