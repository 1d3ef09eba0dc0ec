"""Weights & Biases tracker, offline by default."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

Mode = Literal["offline", "online", "disabled"]
QUIETEST_FIRST: tuple[Mode, ...] = ("disabled", "offline", "online")


class Wandb:
    """W&B, offline unless asked: files land in the run's own `wandb/`. One x-axis: the optimizer step.

    A resumed run keeps its W&B id. Steps repeated after a kill are sent again, with the same values at the same place. A
    cell of a study is in the study's group, and its job type is its arm.
    """

    def __init__(
        self,
        *,
        folder: Path,
        name: str,
        config: dict[str, Any],
        mode: Mode = "offline",
        project: str = "multimodal_lab",
        entity: str | None = None,
        group: str | None = None,
        tags: list[str] | None = None,
    ) -> None:
        study, arm = (
            (folder.resolve().parent.name, folder.name.rsplit("-s", 1)[0]) if config.get("study") else (None, None)
        )
        self._wandb, self._run = start_wandb(
            folder, mode, project=project, entity=entity, group=group or study, job_type=arm, tags=tags or None,
            name=name, config=config,
        )  # fmt: skip
        self._run.define_metric("optimizer_step")
        self._run.define_metric("*", step_metric="optimizer_step")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One row."""
        self._run.log({"optimizer_step": step, **values})

    def finish(self, summary: Mapping[str, Any], figures: Iterable[Path]) -> None:
        """The final scores as W&B's summary, the PNG figures as images, the CSV files as tables."""
        self._run.summary.update(dict(summary))
        figures = list(figures)
        images = {f"figures/{p.stem}": self._wandb.Image(str(p)) for p in figures if p.suffix == ".png"}
        tables = {f"tables/{p.stem}": self._wandb.Table(*_rows(p)) for p in figures if p.suffix == ".csv"}
        if images or tables:
            self._run.log({**images, **tables})
        self._run.finish(exit_code=0)


def _rows(path: Path) -> tuple[list[str], list[list[Any]]]:
    """The columns and rows of a CSV, None for a field without a value."""
    import pandas as pd

    frame = pd.read_csv(path)
    return [str(c) for c in frame], frame.astype(object).where(frame.notna(), None).to_numpy().tolist()


def start_wandb(folder: Path, mode: Mode, **facts: Any) -> tuple[Any, Any]:
    """The module `wandb` and a run of it in `folder`, whose id is kept there; facts: as `wandb.init` takes them.

    The environment's `WANDB_MODE` is honoured where it asks for less than `mode`: nothing is sent that the config keeps here.
    """
    import wandb

    mode = _quietest(mode, os.environ.get("WANDB_MODE", mode))
    own = folder / "wandb" / "id.txt"
    if mode == "disabled":
        return wandb, wandb.init(mode="disabled")
    if not own.exists():
        own.parent.mkdir(parents=True, exist_ok=True)
        # an agent of a sweep waits for the run that it has named; a study's cells would all get one name
        given = os.environ.get("WANDB_RUN_ID") if os.environ.get("WANDB_SWEEP_ID") else None
        own.write_text(given or secrets.token_hex(8))
    resume: Literal["allow"] | None = "allow" if mode == "online" else None
    settings = wandb.Settings(silent=True, x_disable_stats=True, x_disable_meta=True)  # no argv, no environment
    run = wandb.init(id=own.read_text(), resume=resume, dir=str(folder), mode=mode, settings=settings, **facts)
    return wandb, run


def _quietest(mode: Mode, environment: str) -> Mode:
    asked = "offline" if environment == "dryrun" else environment  # its old name
    if asked not in QUIETEST_FIRST:
        raise ValueError(f"WANDB_MODE={environment}: expected one of {', '.join(QUIETEST_FIRST)}")
    return next(quiet for quiet in QUIETEST_FIRST if quiet in (mode, asked))
