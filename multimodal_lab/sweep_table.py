"""The table of a sweep, as Hydra's callback at its end, or again: `python -m multimodal_lab.sweep_table DIR`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from multimodal_lab import stage
from multimodal_lab.config import redact, redacted_files
from multimodal_lab.runs.records import LayoutError, read_config
from multimodal_lab.text import key_values, plain_output, printable

USAGE = """usage: python -m multimodal_lab.sweep_table DIR

Prints the table of a sweep in DIR, such as multirun/NAME, from what its jobs have written so far, and writes DIR/sweep.csv."""
_begun: list[DictConfig] = []  # of sweeps that have not been told yet


class Table(Callback):
    """Prints the table of a finished multirun and writes `sweep.csv`."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra calls this when a sweep begins."""
        _begun.append(config)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra calls this when all jobs have ended well; where one raised, `unfinished` does the same."""
        _begun.clear()
        folder = Path(config.hydra.sweep.dir)
        redacted_files.rewrite(folder / redacted_files.MULTIRUN)
        if folder.is_dir() and config.get("study") is None:  # a study has tables of its own
            show(folder)


def unfinished() -> None:
    """The table of a sweep that an error or a signal has ended, if one has begun."""
    for config in _begun[:1]:
        Table().on_multirun_end(config)


def show(folder: Path) -> None:
    """Print the table of the runs below `folder`."""
    from rich.console import Console

    from multimodal_lab.config.rules.wiring import scored
    from multimodal_lab.report import multirun

    Console(width=None if sys.stdout.isatty() else 160).print(multirun.table(folder, scored(evaluated(folder))))


def evaluated(folder: Path) -> dict[str, Any]:
    """The evaluators of all runs below `folder`, as one config has them."""
    found: dict[str, Any] = {}
    for path in sorted(folder.glob("*/config.yaml")):
        try:
            node = read_config(path.parent).get("evaluate")
        except LayoutError as error:
            print(printable(f"left out: {error}", one_line=True), file=sys.stderr)
            continue
        nodes = node if isinstance(node, dict) else {}
        found |= {name: one for name, one in nodes.items() if isinstance(one, dict)}
    return {"evaluate": found}


def main() -> None:
    """The command line."""
    plain_output()
    words, rest = key_values(sys.argv[1:], {"runs"})
    if {"-h", "--help"} & set(rest):
        print(USAGE)
        return
    given = [*words.values(), *rest]
    if len(given) != 1:
        sys.exit(f"error: expected one DIR\n{USAGE}")
    folder = Path(given[0])
    if not folder.is_dir():
        sys.exit(f"error: {folder}: no such directory")
    if (folder / "plan.json").is_file():
        sys.exit(f"error: {folder}: this is a study; python -m multimodal_lab.study runs={folder} has its tables")
    try:
        show(folder)
    except Exception as error:
        stage.leave(error, redact.text)


if __name__ == "__main__":
    main()
