"""Run each job of a sweep as a job of a cluster, by submitit; imported at every start of Hydra, so it imports nothing heavy."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.multimodal_lab_launcher.job import execute, failed, resumed

EVERY = 0.5  # seconds
COMMON = {
    "name", "nodes", "tasks_per_node", "cpus_per_task", "gpus_per_node", "mem_gb", "timeout_min", "stderr_to_stdout",
}  # fmt: skip


class Job:
    """What submitit pickles and calls. One that is pre-empted or out of time is queued again, and resumes."""

    def __init__(self, context: HydraContext, config: DictConfig, task: TaskFunction, state: dict[Any, Any]) -> None:
        self.given = context, config, task, state

    def __call__(self, number: int, lines: list[str]) -> JobReturn:
        """Run the job of these lines."""
        import submitit

        return execute(number, lines, *self.given, job_id=str(submitit.JobEnvironment().job_id))

    def checkpoint(self, number: int, lines: list[str]) -> Any:
        """What is queued in its place: submitit asks at its warning signal, after the run has saved."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, number, resumed(lines))


class SubmititLauncher(Launcher):
    """Submits every job at once and waits for them all; one that dies is told and ends alone.

    submitit_folder: where submitit keeps its pickles and logs.
    array_parallelism: how many run at once. parameters: those of submitit's executor, null for its default: `timeout_min`,
    `mem_gb`, … and SLURM's own, such as `partition`; `max_num_timeout` is how often a job that is out of time is queued again.
    """

    requires: ClassVar = {"submitit": "sweep"}
    remote = True
    cluster = "slurm"

    def __init__(self, submitit_folder: str, array_parallelism: int = 16, **parameters: Any) -> None:
        self.folder, self.at_once = submitit_folder, array_parallelism
        plain = {k: OmegaConf.to_container(v) if OmegaConf.is_config(v) else v for k, v in parameters.items()}
        self.parameters = {k: v for k, v in plain.items() if v not in (None, {}, [])}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra gives; `ConfigError` where there is no such cluster."""
        from multimodal_lab.config.problem import ConfigError

        self.context, self.task, self.config = hydra_context, task_function, config
        try:
            self.executor = self._executor()
        except RuntimeError as error:
            said = f"hydra/launcher={self.cluster}: there is no such cluster here ({error})"
            raise ConfigError(
                f"{said}; run this where jobs are submitted, or give hydra/launcher=joblib for this machine"
            ) from None

    def _executor(self) -> Any:
        import submitit

        again = {k: v for k, v in self.parameters.items() if k == "max_num_timeout"}
        own = {f"{self.cluster}_{k}": v for k, v in again.items()}
        executor = submitit.AutoExecutor(folder=self.folder, cluster=self.cluster, **own)
        rest = {k: v for k, v in self.parameters.items() if k not in again}
        executor.update_parameters(**{k if k in COMMON else f"{self.cluster}_{k}": v for k, v in rest.items()})
        return executor

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """What each job returned, in their order; one that died has failed, and its `error.txt` says so."""
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        jobs = ((number, list(lines)) for number, lines in enumerate(job_overrides, initial_job_idx))
        job = Job(self.context, self.config, self.task, Singleton.get_state())
        return [self._returned(*own, one) for own, one in self._submit(job, jobs)]

    def _submit(self, job: Job, jobs: Iterator[tuple[int, list[str]]]) -> list[tuple[tuple[int, list[str]], Any]]:
        every = list(jobs)  # none where others have begun them all
        self.executor.update_parameters(**{f"{self.cluster}_array_parallelism": self.at_once})
        return list(zip(every, self.executor.map_array(job, *zip(*every)) if every else [], strict=True))

    def _returned(self, number: int, lines: list[str], job: Any) -> JobReturn:
        from submitit.core.utils import FailedJobError, UncompletedJobError

        try:
            found: JobReturn = job.result()
        except (FailedJobError, UncompletedJobError):
            said = f"job {job.job_id} of the cluster ended without a result ({job.state}); see {job.paths.stderr}"
            return failed(self.context.config_loader, self.config, number, lines, said)
        return found


class LocalLauncher(SubmititLauncher):
    """Processes of this machine in place of a cluster's jobs, to try what a cluster would do."""

    remote = False
    cluster = "local"

    def _submit(self, job: Job, jobs: Iterator[tuple[int, list[str]]]) -> list[tuple[tuple[int, list[str]], Any]]:
        submitted: list[tuple[tuple[int, list[str]], Any]] = []
        while True:  # submitit would start them all at once
            while sum(not one.done() for _, one in submitted) >= self.at_once:
                time.sleep(EVERY)
            if (own := next(jobs, None)) is None:  # as slots get free: a study passes over what others have begun
                return submitted
            submitted.append((own, self.executor.submit(job, *own)))
