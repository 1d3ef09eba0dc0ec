"""Helpers of the GPU benchmarks: device time in ms, memory, duration of the first call."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

DEVICE = torch.device("cuda", 0)
PEAK = 989e12  # dense bf16 operations a second of an H100 or H200 (NVIDIA's data sheet)


def times(work: dict[str, Callable[[], Any]], rounds: int = 15, warm: int = 3) -> dict[str, float]:
    """Median milliseconds of each candidate."""
    spent: dict[str, list[float]] = {name: [] for name in work}
    for i in range(warm + rounds):
        for name, act in work.items():
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            act()
            end.record()
            end.synchronize()
            if i >= warm:
                spent[name].append(begin.elapsed_time(end))
    return {name: statistics.median(found) for name, found in spent.items()}


def extra_peak(act: Callable[[], Any]) -> float:
    """The most device memory in MB above what was there before."""
    act()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    act()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def began(what: str) -> Callable[[], None]:
    """Say how long the first call took, a compiler's time in it."""
    start = time.monotonic()

    def done() -> None:
        torch.cuda.synchronize()
        print(f"  ({what}: first call {time.monotonic() - start:.1f} s)", flush=True)

    return done
