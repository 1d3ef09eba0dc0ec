"""Hydra callback: print the table of a finished multirun and write `sweep.csv`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml
from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class Table(Callback):
    """Hydra calls this when all jobs of a sweep have ended, however they ended."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Read each job's `summary.json`; a job without one is listed as failed."""
        from rich.console import Console

        from multimodal_lab.config.rules.wiring import scored
        from multimodal_lab.report import multirun

        folder = Path(config.hydra.sweep.dir)
        if folder.is_dir() and config.get("study") is None:  # a study has tables of its own
            Console(width=None if sys.stdout.isatty() else 160).print(multirun.table(folder, scored(evaluated(folder))))


def evaluated(folder: Path) -> dict[str, Any]:
    """The evaluators of all runs below `folder`, as one config has them."""
    configs = [yaml.safe_load(path.read_text()) or {} for path in sorted(folder.glob("*/config.yaml"))]
    return {"evaluate": {k: node for config in configs for k, node in (config.get("evaluate") or {}).items()}}
