"""What a head that tells every pixel of a map says of a batch, as what it adds to the scores: no map is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from multimodal_lab.metric import segmentation
from multimodal_lab.types import Batch

Found = dict[str, float]


def tally(module: Any, said: Tensor, batch: Batch) -> Tensor | None:
    """(N, K, K) counts of classes or (N, 5) sums of numbers, see `metric.segmentation`; None of a head that tells no map,
    (N, 0) where the batch lacks the map. A number that is not finite is a `ValueError`."""
    if not getattr(module, "per_pixel", False):
        return None
    target = batch.targets.get(module.label)
    if target is None or target.ndim != 3:
        return said.new_zeros(len(said), 0)
    if not torch.isfinite(said).all():
        raise ValueError(f"head {type(module).__name__} says numbers that are not finite: the model diverged")
    return (segmentation.sums if target.is_floating_point() else segmentation.counts)(said, target)


def scores(values: np.ndarray, names: Sequence[str]) -> tuple[Found, int]:
    """Scores of all samples' tallies together, with the IoU of each class, and how many pixels they are of.

    miou, pixel_accuracy, class_accuracy, n_absent, `iou@CLASS`; or pixel_rmse, pixel_mae and r2.
    """
    whole = values.sum(0)
    if values.ndim == 2:
        return (segmentation.of_sums(whole), int(whole[0])) if whole[0] else ({}, 0)
    count = int(whole.sum())
    if not count:
        return {}, 0
    found, iou = segmentation.of_counts(whole)
    called = [str(n).replace("/", "_") for n in names] if len(names) == len(iou) else [str(i) for i in range(len(iou))]
    return found | {f"iou@{c}": float(v) for c, v in zip(called, iou, strict=True) if np.isfinite(v)}, count
