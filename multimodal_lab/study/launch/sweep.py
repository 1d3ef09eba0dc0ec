"""Train the unfinished cells of a study with any Hydra launcher."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from multimodal_lab import progress
from multimodal_lab.config import redact
from multimodal_lab.config.problem import StudyError
from multimodal_lab.config.study import read, warnings
from multimodal_lab.config.study_lines import key
from multimodal_lab.runs import directory, hashes
from multimodal_lab.runs.lease import wait_for_renewal
from multimodal_lab.study import helpers
from multimodal_lab.study.audit import record
from multimodal_lab.study.design import plan
from multimodal_lab.study.design.cells import Cells, Compose, looked_at, streams
from multimodal_lab.study.design.plan import Cell, StudyPlan
from multimodal_lab.study.design.roles import judge_of, keeping
from multimodal_lab.study.launch import status
from multimodal_lab.study.launch.wandb import send
from multimodal_lab.study.ledger import ledger
from multimodal_lab.study.ledger import tuning as tuning_ledger

AGAIN = 2  # launches of a tuning cell by one call, that a launcher died at meanwhile
EVERY = 1.0  # seconds


def sweep(config: DictConfig, loader: ConfigLoader, launcher: Launcher, typed: Sequence[str]) -> Any:
    """Write the plan, audit the data, launch every unfinished cell, report the outcome of all.

    What is tuned is tuned first: no arm can be trained before the last tuning cell of all launchers has ended. Any other
    cell that another launcher is at is left to it. Raises `StudyError` where cells failed, or where finished ones were
    made by another source than this and the study doesn't say `mixed`.
    """
    folder = Path(config.hydra.sweep.dir)
    compose = _composer(config, loader, typed)
    made = planned(config, compose, typed)
    before = ledger.entries(folder, made.every)
    _refuse_mixed(folder, made, before)
    plan.write(folder, made)
    print("\n".join([*status.lines(folder, made, before), *(f"warning: {w}" for w in made.warnings)]), flush=True)
    more = made.study.jobs if not made.cells else sum(e.state != "finished" for e in before)
    count = min(made.study.jobs, max(1, more))
    helpers.share_cores(count)
    with helpers.launchers(folder, count):
        if helpers.is_helper():
            record.wait(folder)
        else:
            configs = partial(looked_at, made.study, compose)
            todo = not made.cells or any(e.state != "finished" for e in before)
            progress.show(True)
            print("\n".join(record.ensure(folder, made.study, configs, todo)), flush=True)
        if not made.cells:
            _tune(folder, made, launcher)
            made = planned(config, compose, typed)
            plan.write(folder, made)
        returns = _train(folder, made, launcher)
    after = ledger.entries(folder, made.every)
    status.table(folder, made, after)
    if any(e.state == "finished" and e.cell.role != "tuning" for e in after) and not helpers.is_helper():
        from multimodal_lab.study.launch.conclude import (
            conclude,  # scipy, matplotlib: a launcher need not wait for them
        )

        found = conclude(folder)
        if (wandb := OmegaConf.select(config, "log.wandb")) is not None:
            send(folder, found, redact.plain({str(k): v for k, v in wandb.items()}))
    if failed := [e for e in after if e.state == "failed"]:
        raise StudyError(f"{len(failed)} of {len(after)} cells failed; the same command runs them again")
    return returns


def planned(config: DictConfig, compose: Compose, typed: Sequence[str]) -> StudyPlan:
    """The plan that a composed study asks for: its cells too, once what is tuned has been, as the directory shows."""
    node: Any = OmegaConf.to_container(config.study, resolve=True)
    study = read(node)
    study = replace(study, evaluator=judge_of(study, looked_at(study, compose)) or None)
    study = keeping(study, {arm: {"modality": streams(compose(own))} for arm, own in study.overrides().items()})
    made = Cells(study, compose)
    tuning = made.tuning()
    chosen = tuning_ledger.chosen(study, ledger.entries(Path(config.hydra.sweep.dir), tuning))
    own = made.compared(chosen) if chosen or not tuning else []
    return StudyPlan(study, own, list(typed), warnings(study), tuning, chosen, made.retrained)


def _composer(config: DictConfig, loader: ConfigLoader, typed: Sequence[str]) -> Compose:
    """Of a line's config, composed once: the plan and the audit take the same."""
    composed: dict[tuple[str, ...], DictConfig] = {}

    def compose(lines: list[str]) -> DictConfig:
        if tuple(lines) not in composed:
            composed[tuple(lines)] = loader.load_sweep_config(config, [*typed, *lines])
        return composed[tuple(lines)]

    return compose


def _tune(folder: Path, made: StudyPlan, launcher: Launcher) -> None:
    """Train the tuning cells; those that another launcher is at are waited for. `StudyError` where one can't be finished."""
    launched: Counter[str] = Counter()
    while True:
        found = ledger.entries(folder, made.tuning)
        failed = {e.cell.folder for e in found if e.state == "failed" and launched[e.cell.folder]}
        todo = [e for e in found if e.state not in ("finished", "running") and e.cell.folder not in failed
                and launched[e.cell.folder] < AGAIN]  # fmt: skip
        if todo:
            launched.update(e.cell.folder for e in todo)
            launcher.launch(Todo(folder, made, [e.cell for e in todo]), initial_job_idx=0)
        elif any(e.state == "running" for e in found):
            time.sleep(EVERY)
        else:
            break
    if left := [e for e in found if e.state != "finished"]:
        print("\n".join(status.lines(folder, made, found)), flush=True)
        raise StudyError(
            f"{len(left)} of {len(found)} tuning cells are not finished, such as {left[0].folder.name}: "
            f"{left[0].why or left[0].state}. "
            "No arm is trained before all have tried the same: the same command runs them again; an option that can't be "
            "trained is taken out of study.tune.options for all"
        )


def _train(folder: Path, made: StudyPlan, launcher: Launcher) -> Any:
    """Train the cells that are compared. One whose launcher died on another machine is free once its lease has ended."""
    returns: Any = []
    left = [e.cell for e in ledger.entries(folder, made.cells) if e.state != "finished"]
    while left:
        returns = launcher.launch(Todo(folder, made, left), initial_job_idx=len(made.tuning))
        passed = [
            e for e in ledger.entries(folder, left) if e.state == "running"
        ]  # by another launcher, or so it seems
        wait_for_renewal(e.folder for e in passed)
        free = [
            e.cell for e in ledger.entries(folder, [e.cell for e in passed]) if e.state not in ("finished", "running")
        ]
        left = [cell for cell in free if not directory.last_error(folder / cell.folder)]
    return returns


class Todo(list[list[str]]):
    """The lines of cells to launch; one that another launcher has begun since then is passed over when its turn comes."""

    def __init__(self, folder: Path, made: StudyPlan, cells: Sequence[Cell]) -> None:
        resume = [] if any(key(line) == "resume" for line in made.typed) else ["resume=auto"]
        super().__init__([*made.typed, *c.overrides, *resume, f"hydra.sweep.subdir={c.folder}"] for c in cells)
        self.folder, self.cells = folder, cells

    def __iter__(self) -> Iterator[list[str]]:
        """Composing a job to find it taken would cost a tenth of a second for each."""
        for cell, lines in zip(self.cells, super().__iter__(), strict=True):
            if ledger.entry(self.folder, cell).state not in ("finished", "running"):
                yield lines


def _refuse_mixed(folder: Path, made: StudyPlan, before: Sequence[ledger.Entry]) -> None:
    waiting = any(e.state != "finished" for e in before)
    said = ledger.mixed(before, hashes.source_hash() if waiting else None)
    if said and not made.study.mixed:
        raise StudyError(
            f"{folder}: {said[0]}. Give another hydra.sweep.dir, remove those directories to have them trained again, or "
            "give study.mixed=true: the verdict is then invalid, and says so"
        )
