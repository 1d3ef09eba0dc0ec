"""Encode all samples once with the frozen backbones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from multimodal_lab.cache.encodings import Encodings
from multimodal_lab.cache.unchanged import Augment, require_unchanged
from multimodal_lab.device.eval_mode import eval_mode
from multimodal_lab.progress import track
from multimodal_lab.system import System


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
            require_unchanged(batch, augment(batch, 0, 0), names)
            for name in names:
                rows = batch.present[name]
                kept = system.backbones.one(name, system.input(name, batch), system.valid(name, batch)).keep(rows)
                grid = torch.tensor(kept.grid or (), dtype=torch.int64)
                parts[name].append(Encodings(kept.tokens, kept.pooled, kept.mask, rows, grid).to(torch.device("cpu")))
    return {name: _joined(own) for name, own in parts.items()}


def _joined(parts: Sequence[Encodings]) -> Encodings:
    rows = {k: torch.cat([vars(p)[k] for p in parts]).contiguous() for k in vars(parts[0]) if k != "grid"}
    return Encodings(**rows, grid=parts[0].grid)  # of one backbone and one size of images: alike in every batch
