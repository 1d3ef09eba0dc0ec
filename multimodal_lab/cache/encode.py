"""Encode all samples once with the frozen backbones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

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
                grid = torch.tensor(kept.grid or (), dtype=torch.int64)
                parts[name].append(Encodings(kept.tokens, kept.pooled, kept.mask, rows, grid).to(torch.device("cpu")))
    return {name: _joined(own) for name, own in parts.items()}


def _joined(parts: Sequence[Encodings]) -> Encodings:
    rows = {k: torch.cat([vars(p)[k] for p in parts]).contiguous() for k in vars(parts[0]) if k != "grid"}
    return Encodings(**rows, grid=parts[0].grid)  # of one backbone and one size of images: alike in every batch


def _require_unchanged(batch: Batch, view: Batch, names: Sequence[str]) -> None:
    """Of what the augmentation leaves there, the first view is what it was given."""
    for name in names:
        rows = view.present[name][: len(batch)]
        if not torch.equal(batch.inputs[name][rows], view.inputs[name][: len(batch)][rows]):
            raise ValueError(
                f"cache=features: the augmentation changes stream {name}, and features are kept of what never changes; give "
                "augment=none, or cache=none"
            )
