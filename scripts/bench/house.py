"""How the package is laid out, each figure beside its bound: rooms, imports, the files that a run enters, sizes.

python scripts/bench/house.py [--json]

Read from the source and from two traced processes (half a minute); exit 0 whether the bounds are met or not. What counts
as a room, an arrow, a floor and a circle stands in `_house_imports.py`; what counts as a file entered and a move in
`_house_trace.py`. A comment line is one whose first character is `#`; a file's length is its lines, a function's those
from `def` (not its decorators) to its end.

The plan's bounds were set for 320 files, 38 rooms and 18 data sets, of which there are more with every domain: a bound that
would grow with them is held per file, room or data set, in the plan's own proportions (60 files entered of 320, 4,000 moves
through those 60, 450 lines of 18 sets), and the plan's number stands beside. Arrows to the contract, the few rooms of plain
words and types that everybody reads first, are counted apart.
"""

from __future__ import annotations

import ast
import json
import os
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from _house_imports import CONTRACT, circles, floors, graph, modules, rooms

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "multimodal_lab"


@dataclass(frozen=True)
class Row:
    """One line: a figure, the most that it may be (None: told only), the plan's number where it is another, a remark."""

    what: str
    today: float | None
    bound: float | None = None
    note: str = ""
    plan: str = ""

    def cells(self) -> list[str]:
        """As text: what, figure, bound, ok or missed, the plan's number, remark."""
        figure = "not measured" if self.today is None else f"{self.today:,.10g}"
        missed = self.today is None or (self.bound is not None and self.today > self.bound)
        verdict = "" if self.bound is None else "missed" if missed else "ok"
        return [self.what, figure, "" if self.bound is None else f"≤ {self.bound:,g}", verdict, self.plan, self.note]


def traced(what: str) -> dict[str, Any] | None:
    """What `_house_trace.py` found in a fresh process; None, and its last words on stderr, where it failed."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).with_name("_house_trace.py")), what]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        print(f"the {what} could not be traced: {done.stderr.strip()[-500:]}", file=sys.stderr)
        return None
    return found


def import_rows() -> list[Row]:
    """Loose modules, floors, arrows, circles."""
    known = modules(PACKAGE)
    loose = [path for path in PACKAGE.glob("*.py") if path.name != "__init__.py"]
    edges, nested, loops = rooms(known), rooms(known, nested=True), circles(graph(known, lazy=False))
    arrows, more = sum(map(len, edges.values())), sum(map(len, nested.values()))
    above = sum(len(there - {*CONTRACT}) for there in edges.values())
    chain = floors(graph(known, lazy=False))
    named = "; ".join(" ↔ ".join(name.partition(".")[2] for name in loop) for loop in loops)
    return [
        Row("loose modules in the package's root", len(loose), 16),
        Row("floors of imports", floors(edges), 9, f"longest chain of modules at import: {chain}"),
        Row(
            "arrows between rooms, those to the contract apart",
            above,
            125,
            f"{len(edges)} rooms; {more} where a folder within a room counts as one",
            f"{arrows} of ≤ 125, all",
        ),
        Row("circles", len(loops), 0, named),
    ]


def trace_rows(files: int) -> list[Row]:
    """Files entered by a run, of all there are, and by a loss."""
    run, loss = traced("run"), traced("loss")
    entered, moves = (len(run["files"]), run["moves"]) if run else (0, 0)
    crossed = ", ".join(loss["files"]) if loss else ""
    return [
        Row(
            "files entered before the first checkpoint, % of all",
            round(100 * entered / files, 1) if run else None,
            19,
            plan=f"{entered} of ≤ 60 files",
        ),
        Row(
            "moves between files, per file entered",
            round(moves / entered, 1) if run else None,
            67,
            plan=f"{moves:,} of ≤ 4,000",
        ),
        Row("files crossed by one InfoNCE value at 256 rows", len(loss["files"]) if loss else None, 4, crossed),
    ]


def functions(text: str) -> list[int]:
    """The lengths of the functions of a file."""
    nodes = (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    return [(node.end_lineno or node.lineno) - node.lineno + 1 for node in nodes]


def size_rows() -> list[Row]:
    """Comments, data configs, files and functions."""
    texts = {path: path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}
    lines = {path: len(text.splitlines()) for path, text in texts.items()}
    comments = sum(line.lstrip().startswith("#") for text in texts.values() for line in text.splitlines())
    sizes = [size for text in texts.values() for size in functions(text)]
    longest = max(lines, key=lambda path: lines[path])
    data = {path.stem: len(path.read_text().splitlines()) for path in (ROOT / "conf" / "data").glob("*.yaml")}
    sets = [count for name, count in data.items() if not name.startswith("_")]
    total = sum(lines.values())
    return [
        Row("comment lines, %", round(100 * comments / total, 2), None, f"{comments} lines of the why"),
        Row(
            "lines of conf/data/*.yaml, bases too, per data set",
            round(sum(data.values()) / len(sets), 1),
            25,
            f"{len(sets)} sets, the median of {statistics.median(sets):g} lines",
            f"{sum(data.values()):,} of ≤ 450 lines",
        ),
        Row("files", len(texts)),
        Row("lines", total),
        Row("median lines of a file", statistics.median(lines.values())),
        Row("longest file", lines[longest], 250, str(longest.relative_to(PACKAGE))),
        Row("median lines of a function", statistics.median(sizes), 12),
        Row("longest function", max(sizes)),
    ]


def main() -> None:
    """Print the table, or with --json its rows."""
    found = [*import_rows(), *trace_rows(len([*PACKAGE.rglob("*.py")])), *size_rows()]
    if "--json" in sys.argv[1:]:
        print(json.dumps([asdict(row) | {"ok": row.cells()[3] != "missed"} for row in found], indent=1))
        return
    table = [["", "today", "bound", "", "the plan", ""], *(row.cells() for row in found)]
    widths = [max(len(cells[i]) for cells in table) for i in range(5)]
    for cells in table:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(cells, widths)), cells[5]]).rstrip())


if __name__ == "__main__":
    main()
