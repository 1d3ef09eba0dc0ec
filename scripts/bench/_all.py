"""Run all benchmarks, each in its own process, and print one table: `make bench`.

python scripts/bench/_all.py [startup loss augment read loop evaluate retrieval]        a quarter of an hour
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from _measure import ROWS, Row

HERE = Path(__file__).parent
PARTS = ("startup", "loss", "augment", "read", "loop", "evaluate", "retrieval")
HEADS = ("what", "ours", "goal", "met", "peers", "limit", "remark")


def measured(part: str, folder: Path) -> list[Row]:
    """The rows of one script, which prints them as it goes."""
    print(f"\n{part}", flush=True)
    path = folder / f"{part}.jsonl"
    subprocess.run([sys.executable, str(HERE / f"{part}.py")], check=True, env={**os.environ, ROWS: str(path)})
    return [Row(**json.loads(line)) for line in path.read_text().splitlines()]


def table(rows: Sequence[Row]) -> str:
    """Markdown, columns as wide as they need."""
    lines = [("part", *HEADS), *[(r.part, *r.cells()) for r in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    lines.insert(1, tuple("-" * w for w in widths))
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines)


def main() -> None:
    """Print the table of the parts named, all by default."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for part in sys.argv[1:] or PARTS for row in measured(part, Path(folder))]
    asked = [r for r in rows if r.goal is not None]
    met = sum(r.ours <= r.goal for r in asked if r.goal is not None)
    print(
        "\nEvery row beside its peers and its physical limit, both measured in the same run, all in the unit of `ours`; x is"
    )
    print(f"times what has 1.00. {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}.\n")
    print(table(rows))
    print(f"\n{met} of {len(asked)} goals met, in {(time.monotonic() - began) / 60:.0f} minutes")


if __name__ == "__main__":
    main()
