"""What every benchmark shares: candidates in alternation, ratios to a reference by CPU time, extra peak memory, one table."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Work = Callable[[], Any]


@dataclass(frozen=True)
class Ratio:
    """Per-round ratio of CPU (or wall) time to the reference's: median, first and third quartile; ms is the median time."""

    median: float
    low: float
    high: float
    ms: float

    def __str__(self) -> str:
        return f"{self.median:5.2f}x [{self.low:.2f}..{self.high:.2f}]"


def ratios(
    work: Mapping[str, Work], reference: str, rounds: int = 9, clock: Callable[[], float] = time.process_time
) -> dict[str, Ratio]:
    """Every candidate once a round after a warm-up, each round beginning with another; ratios within a round."""
    names = list(work)
    for name in names:
        work[name]()
    spent: dict[str, list[float]] = {name: [] for name in names}
    gc.disable()
    for i in range(rounds):
        for name in (*names[i % len(names) :], *names[: i % len(names)]):
            began = clock()
            work[name]()
            spent[name].append(clock() - began)
        gc.collect()
    gc.enable()
    found = {}
    for name, seconds in spent.items():
        shares = [s / r for s, r in zip(seconds, spent[reference])]
        low, median, high = statistics.quantiles(shares, n=4)
        found[name] = Ratio(median, low, high, 1000 * statistics.median(seconds))
    return found


def extra_peak_mb(work: Work) -> float:
    """The most resident memory above what was there before, in MB; call it first in a fresh process."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    work()
    return (_status("VmHWM") - before) / 1024


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])


def row(name: str, found: object, goal: str = "", note: str = "") -> None:
    """One line of a table: what, figure, goal, remark."""
    print(f"{name:52} {found!s:24} {goal:10} {note}".rstrip(), flush=True)
