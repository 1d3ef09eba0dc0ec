"""Held-out loss: every loss term on data not trained on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch

from multimodal_lab.device import distributed
from multimodal_lab.evaluate.eval_mode import eval_mode
from multimodal_lab.stage import computing
from multimodal_lab.system import System
from multimodal_lab.types import Batch


def losses(
    system: System,
    data: Any,
    split: str,
    *,
    augment: Callable[[Batch, int, int], Batch],
    seed: int,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager[Any]],
) -> dict[str, float]:
    """`{split}/{term}`: each term's mean over the samples of a split, at the end of its schedules; {} for an empty split.

    Views are drawn as in epoch 0 every time, so that only the weights move the figure. A contrastive term has the other
    samples of its batch as negatives: compare it between runs of one `data.batch_size` only.
    """
    if not len(data.splits.get(split, ())):
        return {}
    sums: dict[str, float] = {}
    rows = 0
    with distributed.single_process(), torch.no_grad(), eval_mode(system):
        for batch in data.batches(split, epoch=0, shuffle=False, drop_last=False):
            with computing(system, f"computing the losses of the {split} split"), autocast():
                terms = system(augment(batch.to(device), seed, 0), 1.0)
            rows += len(batch)
            for key, value in terms.items():
                sums[key] = sums.get(key, 0.0) + float(value) * len(batch)
    return {f"{split}/{key}": value / rows for key, value in sums.items()}
