"""The device that a run computes on."""

from __future__ import annotations

import torch

from multimodal_lab import dist


def pick_device(wanted: str) -> torch.device:
    """`auto` is this rank's GPU where there is one, else the CPU; ValueError for a GPU that is not there."""
    if wanted != "auto":
        device, found = torch.device(wanted), torch.cuda.device_count()
        if device.type == "cuda" and (device.index or 0) >= found:
            raise ValueError(f"device={wanted}: there is no such GPU here (found {found}); use device=cpu")
        return device
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", dist.local_rank())
    torch.cuda.set_device(device)
    return device
