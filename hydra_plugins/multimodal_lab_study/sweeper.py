"""Registers the study sweeper as a Hydra plugin; imported at every start, so it imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Override
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from multimodal_lab.config.check import SweepJobs
    from multimodal_lab.config.problem import Problem


class Study(Sweeper):
    """Runs the cells of the config's `study` with whatever launcher was chosen."""

    @staticmethod
    def problems(jobs: SweepJobs, overrides: list[Override]) -> list[Problem]:
        """What is wrong with the study or any of its arms; `multimodal_lab.config.check` asks before anything begins."""
        from multimodal_lab.study.design.check import study_problems

        return study_problems(jobs, overrides)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra gives, and make the launcher."""
        from hydra.core.plugins import Plugins

        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Train what is not trained yet."""
        from multimodal_lab.study.launch.sweep import sweep

        assert self.hydra_context is not None
        assert self.config is not None
        assert self.launcher is not None
        return sweep(self.config, self.hydra_context.config_loader, self.launcher, arguments)
