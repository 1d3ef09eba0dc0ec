"""One job of a sweep, wherever a launcher runs it: composed and run as Hydra does, and told of in its directory where it died."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict


def composed(loader: ConfigLoader, config: DictConfig, number: int, lines: list[str], job_id: str = "") -> DictConfig:
    """The config of one job of a sweep."""
    made = loader.load_sweep_config(config, lines)
    with open_dict(made):
        made.hydra.job.id, made.hydra.job.num = job_id or f"{made.hydra.job.name}_{number}", number
    return made


def execute(
    number: int,
    lines: list[str],
    context: HydraContext,
    config: DictConfig,
    task: TaskFunction,
    state: dict[Any, Any],
    job_id: str = "",
) -> JobReturn:
    """Run one job, in a process of its own."""
    setup_globals()
    Singleton.set_state(state)
    return run_job(
        hydra_context=context,
        task_function=task,
        config=composed(context.config_loader, config, number, lines, job_id),
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )


def resumed(lines: list[str]) -> list[str]:
    """The lines of a job that is begun again: it resumes from the newest checkpoint, unless they say how."""
    said = any(line.lstrip("+").partition("=")[0] == "resume" for line in lines)
    return lines if said else [*lines, "resume=auto"]


def folder_of(loader: ConfigLoader, config: DictConfig, number: int, lines: list[str]) -> Path:
    """The directory of one job of a sweep."""
    node = composed(loader, config, number, lines).hydra.sweep
    return Path(str(node.dir)) / str(node.subdir)


def failed(loader: ConfigLoader, config: DictConfig, number: int, lines: list[str], said: str) -> JobReturn:
    """What a job returns whose process died without a word: its `error.txt` has the sentence `said`, which is printed too."""
    from multimodal_lab.runs import directory
    from multimodal_lab.stage import TOLD

    folder = folder_of(loader, config, number, lines)
    directory.note_failure(folder, f"{said}\n")
    print(f"error: {said} ({folder})", file=sys.stderr, flush=True)
    failure = RuntimeError(said)
    failure.add_note(TOLD)
    made = JobReturn(overrides=lines, status=JobStatus.FAILED)
    made.return_value = failure
    return made
