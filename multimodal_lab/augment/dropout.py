"""Modality dropout: some views of a sample lack some of its modalities."""

from __future__ import annotations

import torch
from torch import Tensor

from multimodal_lab.augment.draw import Draw


def dropped(present: dict[str, Tensor], chance: float, draw: Draw) -> dict[str, Tensor]:
    """Modality dropout: each modality of each row is dropped with `chance`; one that is present always stays."""
    luck = torch.stack([draw.fold(name).uniform(1)[:, 0] for name in present], 1)
    there = torch.stack(list(present.values()), 1)
    luck = torch.where(there, luck, -1.0)
    best = luck == luck.amax(1, keepdim=True)
    kept = there & ((luck >= chance) | best)
    return dict(zip(present, kept.unbind(1), strict=True))
