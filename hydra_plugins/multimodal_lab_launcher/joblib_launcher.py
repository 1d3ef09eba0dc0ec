"""Run the jobs of a sweep side by side; imported at every start of Hydra, so it imports nothing heavy."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.multimodal_lab_launcher.job import execute, failed

SAVING = 60  # seconds
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class JoblibLauncher(Launcher):
    """One process a slot, kept for the slot's next job: a job that is killed ends alone, where joblib's pool ends them all.

    n_jobs: how many at once; -1 is one a core. others: what the schema of hydra-joblib-launcher adds where it is installed.
    """

    def __init__(self, n_jobs: int = -1, **others: object) -> None:
        self.n_jobs = n_jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra gives."""
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """What each job returned, in their order; one whose process died has failed, and its `error.txt` says so."""
        from joblib import cpu_count, effective_n_jobs
        from joblib.externals.loky import ProcessPoolExecutor

        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        count = max(1, min(effective_n_jobs(self.n_jobs), len(job_overrides)))
        share = {name: os.environ.get(name, str(max(1, cpu_count() // count))) for name in THREADS}
        jobs = enumerate(
            job_overrides, initial_job_idx
        )  # as slots get free: a study passes over what others have begun
        running: dict[Future[JobReturn], tuple[Any, int, list[str]]] = {}
        found: dict[int, JobReturn] = {}
        free = [ProcessPoolExecutor(1, env=share) for _ in range(count)]
        try:
            while True:
                while free and (job := next(jobs, None)) is not None:
                    number, lines = job[0], list(job[1])
                    arguments = (number, lines, self.context, self.config, self.task, Singleton.get_state())
                    slot = free.pop()
                    running[slot.submit(execute, *arguments)] = (slot, number, lines)
                if not running:
                    return [found[number] for number in sorted(found)]
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    slot, number, lines = running.pop(future)
                    try:
                        found[number] = future.result()
                    except Exception as error:
                        found[number] = self._died(number, lines, error)
                        slot.shutdown(kill_workers=True)
                        slot = ProcessPoolExecutor(1, env=share)
                    free.append(slot)
        except KeyboardInterrupt:  # it reaches the jobs, too: they save, and end
            wait(running, timeout=SAVING)
            raise
        finally:
            for slot in (*free, *(slot for slot, _, _ in running.values())):
                slot.shutdown(wait=False, kill_workers=True)

    def _died(self, number: int, lines: list[str], error: Exception) -> JobReturn:
        codes = re.search(r"exit codes of the workers are \{([^}]*)\}", str(error))
        said = f"its process died ({codes[1] if codes else type(error).__name__}); out of memory?"
        return failed(self.context.config_loader, self.config, number, lines, said)
