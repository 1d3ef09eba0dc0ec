"""Train what is not trained yet: the cells of a study that the ledger does not call finished, by any launcher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from multimodal_lab import digest
from multimodal_lab.study import beside, board, facts, ledger, plan, show
from multimodal_lab.study.cells import cells
from multimodal_lab.study.plan import Plan, StudyError


def sweep(config: DictConfig, loader: ConfigLoader, launcher: Launcher, typed: Sequence[str]) -> Any:
    """Write the plan, launch every cell that isn't finished, tell what became of all.

    A cell that another launcher is at is left to it. Raises `StudyError` where cells failed, or where finished ones were
    made by another source than this and the study doesn't say `mixed`.
    """
    folder = Path(config.hydra.sweep.dir)
    made = planned(config, loader, typed)
    before = ledger.entries(folder, made.cells)
    _refuse_mixed(folder, made, before)
    plan.write(folder, made)
    print("\n".join([*show.lines(folder, made, before), *(f"warning: {w}" for w in made.warnings)]), flush=True)
    todo = [e for e in before if e.state != "finished"]
    jobs = [_job(made.typed, e.cell) for e in todo]
    with beside.launchers(folder, min(made.study.jobs, max(1, len(jobs)))):
        returns = launcher.launch(jobs, initial_job_idx=0) if jobs else []
    after = ledger.entries(folder, made.cells)
    show.table(folder, made, after)
    if any(e.state == "finished" for e in after) and not beside.is_helper():
        from multimodal_lab.study.conclude import conclude  # scipy, matplotlib: a launcher need not wait for them

        found = conclude(folder)
        if (wandb := OmegaConf.select(config, "log.wandb")) is not None:
            board.send(folder, found, {str(k): v for k, v in wandb.items()})
    if failed := [e for e in after if e.state == "failed"]:
        raise StudyError(f"{len(failed)} of {len(after)} cells failed; the same command runs them again")
    return returns


def planned(config: DictConfig, loader: ConfigLoader, typed: Sequence[str]) -> Plan:
    """The plan that a composed study asks for."""
    node: Any = OmegaConf.to_container(config.study, resolve=True)
    study = facts.read(node)
    own = cells(study, lambda lines: loader.load_sweep_config(config, [*typed, *lines]))
    return Plan(study, own, list(typed), facts.warnings(study))


def _job(typed: Sequence[str], cell: plan.Cell) -> list[str]:
    resume = [] if any(facts.key(line) == "resume" for line in typed) else ["resume=auto"]
    return [*typed, *cell.overrides, *resume, f"hydra.sweep.subdir={cell.folder}"]


def _refuse_mixed(folder: Path, made: Plan, before: Sequence[ledger.Entry]) -> None:
    waiting = any(e.state != "finished" for e in before)
    said = ledger.mixed(before, digest.code() if waiting else None)
    if said and not made.study.mixed:
        raise StudyError(
            f"{folder}: {said[0]}. Give another hydra.sweep.dir, remove those directories to have them trained again, or "
            "give study.mixed=true: the verdict is then invalid, and says so"
        )
