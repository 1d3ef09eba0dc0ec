"""Provenance of a run: seed, versions, data, machine, cost."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import resource
import subprocess
from pathlib import Path
from typing import Any

import torch
from torch import nn

from multimodal_lab.text import counted

PACKAGES = ("torch", "torchvision", "timm", "kornia", "numpy", "scikit-learn", "hydra-core", "multimodal_lab")
COSTS = (
    "wall_s", "train_s", "peak_memory_mb", "images_per_s", "steps", "parameters", "trained_parameters", "trained_share",
)  # fmt: skip


def facts(seed: int, data: Any, device: torch.device, state: Any, system: nn.Module, wall: float) -> dict[str, Any]:
    """Flat keys: `provenance/…`, wall time in seconds, peak memory in MB, training samples per second, parameters."""
    cuda = device.type == "cuda"
    peak = torch.cuda.max_memory_allocated(device) if cuda else _peak()
    size, trained = parameters(system)
    speed, share = state.samples / max(state.seconds, 1e-9), round(trained / max(size, 1), 6)
    rounded = [round(x, 3) for x in (wall, state.seconds, peak / 2**20, speed, state.step)]
    costs = (*rounded, size, trained, share)
    return {
        "provenance/seed": seed,
        "provenance/data_fingerprint": data.fingerprint,
        "provenance/python": platform.python_version(),
        **{f"provenance/{name}": _version(name) for name in PACKAGES},
        "provenance/code": commit(),
        "provenance/device": torch.cuda.get_device_name(device)
        if cuda
        else f"cpu, {counted(torch.get_num_threads(), 'thread')}",
        **{f"cost/{name}": value for name, value in zip(COSTS, costs, strict=True)},
        **({"provenance/stands_in": made} if (made := getattr(data, "stands_in", "")) else {}),
        **({"provenance/drift": "; ".join(state.drift)} if state.drift else {}),
        **{f"data/{split}": len(rows) for split, rows in data.splits.items()},
    }


def parameters(system: nn.Module) -> tuple[int, int]:
    """How many a system has, and how many of them are trained."""
    sizes = [(p.numel(), p.requires_grad) for p in system.parameters()]
    return sum(n for n, _ in sizes), sum(n for n, trained in sizes if trained)


def restart_peak() -> None:
    """Count peak memory from here on, so that a sweep's later jobs don't report an earlier one's."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _peak() -> int:
    """Bytes of this process's resident peak since `restart_peak`; since its start where the system can't say."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def commit() -> str:
    """The source's commit, `+` behind it where files were changed; `unknown` outside a checkout."""
    here = Path(__file__).parents[1]
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--abbrev=12", "--dirty=+"],
            capture_output=True,
            text=True,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or "unknown"
