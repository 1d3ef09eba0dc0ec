"""Run each job of a sweep as a task of Ray; imported at every start of Hydra, so it imports nothing heavy."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.multimodal_lab_launcher.job import execute, failed, resumed

PATIENCE = 10.0  # seconds for a cluster to answer
SAVING = 60.0  # seconds


def run_there(folder: str, number: int, lines: list[str], *given: Any) -> JobReturn:
    """Run one job on whatever machine Ray took, in the folder that the sweep was started in."""
    if not os.path.isdir(folder):
        said = f"{socket.gethostname()} has no folder {folder}; all machines of the cluster must see the folder of the sweep"
        raise FileNotFoundError(said)
    os.chdir(folder)
    return execute(number, lines, *given)


class RayLauncher(Launcher):
    """Hands a job to the cluster whenever it has room; one whose machine is lost goes on elsewhere, from its last checkpoint.

    address: of a running cluster, `auto` for one of this machine; null for the one that RAY_ADDRESS names, else for a Ray of
    its own on this machine. num_cpus, num_gpus, resources: what one job takes. n_jobs: how many at once; -1 is as many as the
    cluster has room for. max_retries: how often a job is begun again whose machine or process was lost.
    """

    requires: ClassVar = {"ray": "ray"}
    remote: ClassVar = {"address": {None: False, ...: True}}

    def __init__(
        self,
        address: str | None = None,
        num_cpus: float = 1,
        num_gpus: float = 0,
        resources: dict[str, float] | None = None,
        n_jobs: int = -1,
        max_retries: int = 3,
    ) -> None:
        self.address, self.n_jobs, self.max_retries = address, n_jobs, max_retries
        plain: Any = OmegaConf.to_container(resources) if OmegaConf.is_config(resources) else resources
        self.takes: dict[str, Any] = {"num_cpus": num_cpus, "num_gpus": num_gpus, "resources": plain or None}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra gives, and connect; `ConfigError` where no cluster answers."""
        self.context, self.task, self.config = hydra_context, task_function, config
        self._connect()

    def _connect(self) -> None:
        import multimodal_lab
        from multimodal_lab.config.problem import ConfigError

        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before Ray is imported: it would report itself
        import ray

        address = self.address or os.environ.get("RAY_ADDRESS")
        try:
            if address and address != "auto" and "://" not in address:
                host, _, port = address.rpartition(":")
                socket.create_connection((host, int(port)), PATIENCE).close()  # Ray itself would ask for minutes
            # Ray lets its processes import from the working directory; from where the package lies they do anyway
            with contextlib.chdir(Path(multimodal_lab.__file__).parents[1]):
                ray.init(address, include_dashboard=None if address else False, logging_level="WARNING")
        except (OSError, ValueError, RuntimeError) as error:
            said = f"hydra.launcher.address={address}: no cluster of Ray answers there ({error})"
            raise ConfigError(f"{said}; start one by `ray start --head`, or give null for this machine alone") from None

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """What each job returned, in their order; one that was lost too often has failed, and its `error.txt` says so."""
        import ray

        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        # lost jobs are begun again here, not by Ray: they resume
        task = ray.remote(run_there).options(max_retries=0, **self.takes)
        state = (self.context, self.config, self.task, Singleton.get_state())
        shared = [ray.put(x) for x in state]
        jobs = enumerate(
            job_overrides, initial_job_idx
        )  # as room gets free: a study passes over what others have begun
        running: dict[Any, tuple[int, list[str], int]] = {}
        found: dict[int, JobReturn] = {}

        def start(number: int, lines: list[str], lost: int) -> None:
            running[task.remote(os.getcwd(), number, lines, *shared)] = (number, lines, lost)

        try:
            while True:
                while len(running) < self._room() and (job := next(jobs, None)) is not None:
                    start(job[0], list(job[1]), 0)
                if not running:
                    return [found[number] for number in sorted(found)]
                for reference in ray.wait([*running], timeout=PATIENCE)[0]:  # a cluster may have grown meanwhile
                    number, lines, lost = running.pop(reference)
                    try:
                        found[number] = ray.get(reference)
                    except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError,
                            ray.exceptions.ObjectLostError, ray.exceptions.OutOfMemoryError) as error:  # fmt: skip
                        what = f"its process or machine was lost ({type(error).__name__})"
                        if lost < self.max_retries:
                            print(f"#{number}: {what}; it is begun again, and resumes", file=sys.stderr, flush=True)
                            start(number, resumed(lines), lost + 1)
                        else:
                            found[number] = failed(self.context.config_loader, self.config, number, lines, what)
                    except ray.exceptions.RayTaskError as error:
                        said = f"it could not be run ({error.cause})"
                        found[number] = failed(self.context.config_loader, self.config, number, lines, said)
        except KeyboardInterrupt:  # the jobs save, and end
            for reference in running:
                ray.cancel(reference)
            ray.wait([*running], num_returns=max(1, len(running)), timeout=SAVING)
            raise

    def _room(self) -> int:
        """How many jobs the cluster, as it is now, holds at once; one at least, which waits for a machine that fits."""
        import ray

        if self.n_jobs >= 0:
            return self.n_jobs
        has = ray.cluster_resources()
        asked = {"CPU": self.takes["num_cpus"], "GPU": self.takes["num_gpus"], **(self.takes["resources"] or {})}
        return max(1, min(int(has.get(name, 0) // amount) for name, amount in asked.items() if amount))
