"""Classification scores by torchmetrics, with explicit conventions for edge cases."""

from __future__ import annotations

import torch
from torch import Tensor


def scores(predicted: Tensor, target: Tensor, classes: int) -> dict[str, float]:
    """accuracy, balanced_accuracy (mean recall over classes that occur in target) and macro_f1 of class indices (N,).

    torchmetrics' macro accuracy counts a class that was only predicted as recall 0; recall has no meaning there, so the
    mean is over the classes that occur. macro_f1 is over the classes that occur in either.
    """
    from torchmetrics.functional.classification import multiclass_accuracy, multiclass_f1_score  # see `calibration`

    recall = multiclass_accuracy(predicted, target, num_classes=max(classes, 2), average="none")
    occurs = torch.bincount(target, minlength=max(classes, 2)) > 0
    return {
        "accuracy": float((predicted == target).double().mean()),
        "balanced_accuracy": float(recall[occurs].double().mean()),
        "macro_f1": float(multiclass_f1_score(predicted, target, num_classes=max(classes, 2), average="macro")),
    }


def average_precision(logits: Tensor, target: Tensor) -> tuple[float, int]:
    """Macro average precision over the classes that have a positive, and how many have none.

    logits (N, K), any real scores; target (N, K) 0/1. torchmetrics' own macro counts a class without positives as 0,
    and squashes scores outside [0, 1] by a sigmoid that makes ties of the large ones: so per class, on ranks.
    """
    from torchmetrics.functional.classification import binary_average_precision

    target = target.long()
    occurs = target.sum(0) > 0
    absent = int((~occurs).sum())
    if not occurs.any():
        return float("nan"), absent
    columns = [column.unique(return_inverse=True)[1].double() / len(logits) for column in logits[:, occurs].T]
    values = [binary_average_precision(ranks, t) for ranks, t in zip(columns, target[:, occurs].T, strict=True)]
    return float(torch.stack(values).double().mean()), absent
