"""How long a training is: epochs by the size of the data, and what is told of it."""

from __future__ import annotations

import math
from typing import Literal

from multimodal_lab.text import counted

FEW = 100  # optimizer steps: a training of fewer has rarely learnt what there is
LEARNS_BY = 100  # steps at most, one epoch at most: labels may be so few that the first batches hold none


def epochs_for(per_epoch: int) -> int:
    """What `train.epochs=auto` comes to where an epoch has `per_epoch` optimizer steps.

    Five, or as many as `FEW` steps need, a hundred at most: a large data set is seen five times, and a small one as often as it
    takes.
    """
    return min(max(5, math.ceil(FEW / per_epoch)), 100)


def length(epochs: int | Literal["auto"], max_steps: int | None, per_epoch: int) -> tuple[int, int]:
    """Epochs, and optimizer steps in all, of `train.epochs` and `train.max_steps`."""
    epochs = epochs_for(per_epoch) if epochs == "auto" else epochs
    return epochs, epochs * per_epoch if max_steps is None else min(epochs * per_epoch, max_steps)


def told(wanted: int | str, epochs: int, per_epoch: int, total: int, ramp: int = 0) -> list[str]:
    """How long the training is, where that was left to the data or is short."""
    auto = wanted == "auto" and total == epochs * per_epoch  # not cut short by `train.max_steps`
    found = [f"train.epochs=auto: {epochs} epochs of {counted(per_epoch, 'optimizer step')}"] if auto else []
    if not total:
        found.append("train.max_steps=0: nothing is trained; the system is judged as it begins")
    elif total < FEW:
        found.append(
            f"warning: {counted(total, 'optimizer step')} in all is rarely enough; expected {FEW} or more: a larger "
            "train.epochs, or a smaller data.batch_size"
        )
    if ramp >= total > 0:
        found.append(
            f"warning: the learning rate warms up over {counted(ramp, 'optimizer step')} (train.warmup_steps) of {total} in "
            "all, and never reaches optim.lr; expected fewer"
        )
    return found
