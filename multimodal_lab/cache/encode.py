"""Encode all samples once with the frozen backbones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from multimodal_lab.cache.encodings import Encodings
from multimodal_lab.evaluate.eval_mode import eval_mode
from multimodal_lab.progress import track
from multimodal_lab.system import System
from multimodal_lab.types import Batch

Augment = Callable[[Batch, int, int], Batch]


@torch.no_grad()
def encode(
    system: System, data: Any, names: Sequence[str], *, augment: Augment, device: torch.device
) -> dict[str, Encodings]:
    """{stream: table} of the streams `names`, in batches of the run's own size.

    `ValueError` where the augmentation gives other inputs than it gets, so that training would see other features.
    """
    parts: dict[str, list[Encodings]] = {name: [] for name in names}
    with eval_mode(system):
        for batch in track(data.batches("all"), "encoding", data.steps("all")):
            batch = batch.to(device)
            _require_unchanged(batch, augment(batch, 0, 0), names)
            for name in names:
                rows = batch.present[name]
                kept = system.backbones.one(name, system.input(name, batch), system.valid(name, batch)).keep(rows)
                parts[name].append(Encodings(kept.tokens, kept.pooled, kept.mask, rows).to(torch.device("cpu")))
    return {name: Encodings(*map(_joined, zip(*(vars(p).values() for p in own)))) for name, own in parts.items()}


def _joined(parts: tuple[Tensor, ...]) -> Tensor:
    return torch.cat(parts).contiguous()


def _require_unchanged(batch: Batch, view: Batch, names: Sequence[str]) -> None:
    """Of what the augmentation leaves there, the first view is what it was given."""
    for name in names:
        rows = view.present[name][: len(batch)]
        if not torch.equal(batch.inputs[name][rows], view.inputs[name][: len(batch)][rows]):
            raise ValueError(
                f"cache=features: the augmentation changes stream {name}, and features are kept of what never changes; give "
                "augment=none, or cache=none"
            )
