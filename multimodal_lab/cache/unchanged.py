"""Features are cached of what never changes: what an augmentation may change, and what it has changed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import torch

from multimodal_lab.augment.augment import Augment as Ops
from multimodal_lab.types import Batch

Augment = Callable[[Batch, int, int], Batch]
WHY = ", and features are kept of what never changes; give augment=none, or cache=none"


def require_ops_elsewhere(augment: Augment, names: Collection[str]) -> None:
    """`ValueError` for an op that may change one of the cached streams `names`, whether or not it acts on the first batches.

    An augmentation of another class is looked at while samples are encoded, see `require_unchanged`.
    """
    if not isinstance(augment, Ops):
        return
    changed: dict[str, Collection[str]] = {**augment.targets, **dict.fromkeys(augment.geometric, augment.images)}
    changed |= {op: own.changes(augment.streams) for op, own in augment.batchwise.items()}
    for op, streams in changed.items():
        for name in (n for n in streams if n in names):
            raise ValueError(f"cache=features: augment.ops.{op} changes stream {name}{WHY}")


def require_unchanged(batch: Batch, view: Batch, names: Sequence[str]) -> None:
    """Of what the augmentation leaves there, the first view is what it was given."""
    for name in names:
        rows = view.present[name][: len(batch)]
        if not torch.equal(batch.inputs[name][rows], view.inputs[name][: len(batch)][rows]):
            raise ValueError(f"cache=features: the augmentation changes stream {name}{WHY}")
