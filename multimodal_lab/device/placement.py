"""Device selection and deterministic mode."""

from __future__ import annotations

import os

import torch

from multimodal_lab.device import distributed


def pick_device(wanted: str) -> torch.device:
    """`auto` is this rank's GPU where there is one, else the CPU; ValueError for a GPU that is not there, and for no device."""
    if wanted != "auto":
        try:
            device = torch.device(wanted)
        except RuntimeError as error:
            raise ValueError(f"device={wanted}: expected auto, cpu, cuda or cuda:N") from error
        found = torch.cuda.device_count()
        if device.type == "cuda" and (device.index or 0) >= found:
            raise ValueError(f"device={wanted}: there is no such GPU here (found {found}); use device=cpu")
        return device
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", distributed.local_rank())
    torch.cuda.set_device(device)
    return device


def repeatable(device: torch.device, wanted: bool) -> None:
    """Ask torch for deterministic kernels; where a GPU has none, torch warns by name and continues.

    On the CPU every kernel that is used is one. Of cuBLAS it takes a workspace of fixed size, of cuDNN no search for the
    fastest algorithm.
    """
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(wanted, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a search for faults, not for equal bits
