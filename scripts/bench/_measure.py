"""Benchmark helpers: candidates in alternation, ratios of CPU time to a reference, extra peak memory, one table."""

from __future__ import annotations

import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Work = Callable[[], Any]
ROWS = "BENCH_ROWS"  # the file that rows are added to, in the environment


@dataclass(frozen=True)
class Ratio:
    """Per-round ratio of CPU (or wall) time to the reference's: median, first and third quartile; ms is the median time."""

    median: float
    low: float
    high: float
    ms: float


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
    before = reset_peak()
    work()
    return peak_mb() - before


def reset_peak() -> float:
    """Count `peak_mb` anew from here; the MB that are resident now."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    return _status_mb("VmRSS")


def peak_mb() -> float:
    """The most MB of this process that were ever resident, or since `reset_peak`."""
    return _status_mb("VmHWM")


def _status_mb(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) / 1024


Beside = tuple[str, "Ratio | float"]


@dataclass(frozen=True)
class Row:
    """One line of the table: all figures in the same unit, `x` being times the reference; a goal is met at or below it."""

    part: str
    what: str
    ours: float
    spread: str
    unit: str
    goal: float | None
    peers: str
    limit: str
    note: str

    def cells(self) -> list[str]:
        """As text: what, ours, goal, met, peers, limit, remark."""
        met = "" if self.goal is None else "yes" if self.ours <= self.goal else "**no**"
        ours = f"{_number(self.ours)} {self.unit} {self.spread}".rstrip()
        return [
            self.what,
            ours,
            "" if self.goal is None else _number(self.goal),
            met,
            self.peers,
            self.limit,
            self.note,
        ]


def row(
    what: str,
    ours: Ratio | float,
    *,
    goal: float | None = None,
    unit: str = "x",
    peers: Iterable[Beside] = (),
    limit: Beside | None = None,
    note: str = "",
) -> None:
    """Print one line, and keep it for the table of all where `make bench` asks for it; `limit` is the physical one."""
    spread = f"[{ours.low:.2f}..{ours.high:.2f}]" if isinstance(ours, Ratio) else ""
    beside = ", ".join(f"{name} {_number(_value(x))}" for name, x in peers)
    bound = "" if limit is None else f"{limit[0]} {_number(_value(limit[1]))}"
    made = Row(Path(sys.argv[0]).stem, what, _value(ours), spread, unit, goal, beside, bound, note)
    print(" | ".join(made.cells()).rstrip(" |"), flush=True)
    if path := os.environ.get(ROWS):
        with open(path, "a") as file:
            file.write(json.dumps(asdict(made)) + "\n")


def _value(x: Ratio | float) -> float:
    return x.median if isinstance(x, Ratio) else float(x)


def _number(x: float) -> str:
    return f"{x:.2f}" if x < 10 else f"{x:.1f}" if x < 100 else f"{x:.0f}"
