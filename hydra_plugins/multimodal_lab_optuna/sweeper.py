"""Trials chosen by Optuna; imported at every start of Hydra, so it imports nothing heavy."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.core.utils import JobStatus
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from multimodal_lab.config.check import SweepJobs
    from multimodal_lab.config.problem import Problem

JUDGED = "eval_split=val"
DIRECTIONS = ("auto", "maximize", "minimize")
CONF = {
    "_target_": f"{__name__}.OptunaSweeper", "n_trials": 20, "n_jobs": 1, "direction": "auto", "seed": 0, "params": {},
}  # fmt: skip
# In place of hydra-optuna-sweeper's, for Optuna 2, where that is installed: it is imported before this one.
ConfigStore.instance().store(group="hydra/sweeper", name="optuna", node=CONF, provider="multimodal_lab")


class OptunaSweeper(Sweeper):
    """`optim.lr=tag(log,interval(1e-4,1e-2)) fusion.width=32,64`: each trial draws a value of every sweep, by TPE.

    Trials are judged on the validation split (`eval_split=val`): the test split is read once, by what was chosen.

    n_trials: how many, n_jobs at once. direction: of `objective`; auto is the one that its evaluator states. seed: of the
    draws. params: a search space in a file, {key: sweep as it is typed}.
    """

    def __init__(self, n_trials: int, n_jobs: int, direction: str, seed: int | None, params: dict[str, Any]) -> None:
        self.n_trials, self.n_jobs, self.direction, self.seed, self.params = n_trials, n_jobs, direction, seed, params

    @staticmethod
    def problems(jobs: SweepJobs, overrides: list[Override]) -> list[Problem]:
        """What is wrong with the search or with a trial at any end of it."""
        from multimodal_lab.config import compose
        from multimodal_lab.config.problem import Problem, not_one_of
        from multimodal_lab.config.rules.wiring import judge

        if find_spec("optuna") is None:
            what = "needs the package optuna, which is not installed: pip install -e '.[sweep]', or pip install optuna"
            return [Problem("hydra/sweeper", "optuna", what, "hydra/sweeper=basic")]
        if all(o.get_key_element() != "eval_split" for o in overrides):
            jobs.lines, overrides = [*jobs.lines, JUDGED], [*overrides, compose.read(JUDGED)]
        cfg, found = jobs.configured(jobs.lines, RunMode.MULTIRUN)
        own = cfg.hydra.sweeper
        if not found and (cfg.eval_split != "val" or "eval_split" in own.params):
            what = "trials are chosen by their scores, and the test split is read once, by what was chosen"
            return [Problem("eval_split", cfg.eval_split, what, "eval_split=val")]
        if own.direction not in DIRECTIONS:
            found += [not_one_of("hydra.sweeper.direction", own.direction, [*DIRECTIONS])]
        elif cfg.get("objective") is None and not judge(_evaluated(cfg)):
            what = "trials are compared by a score, and no evaluator here keeps predictions to be judged by"
            found += [Problem("objective", None, what, "evaluate=[probe], or objective=NAME/…")]
        elif direction(cfg, own.direction) is None:
            what = f"whether more or less {cfg.objective} is better is not known"
            found += [Problem("hydra.sweeper.direction", "auto", what, "hydra.sweeper.direction=maximize, or minimize")]
        for key in ("n_trials", "n_jobs"):
            if not isinstance(own[key], int) or own[key] < 1:
                found += [
                    Problem(f"hydra.sweeper.{key}", own[key], "expected an integer >= 1", f"hydra.sweeper.{key}=1")
                ]
        jobs.count = own.n_trials
        return found or jobs.of_sweep(cfg, overrides, ends)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra gives, and make the launcher."""
        from hydra.core.plugins import Plugins

        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run the trials; those that fail are told to Optuna as failed. All failed: the last one's error."""
        import optuna

        from hydra_plugins.multimodal_lab_launcher.job import folder_of

        assert self.hydra_context is not None
        assert self.config is not None
        assert self.launcher is not None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*(f"{k}={v}" for k, v in self.params.items()), *arguments])
        sampler = optuna.samplers.TPESampler(seed=self.seed)
        asked: list[list[str]] = []  # the line of each trial
        study = optuna.create_study(direction=direction(self.config, self.direction), sampler=sampler)
        for first in range(0, self.n_trials, self.n_jobs):
            trials = [study.ask() for _ in range(min(self.n_jobs, self.n_trials - first))]
            lines = [[drawn(trial, o) for o in overrides] for trial in trials]
            asked += lines
            returns = self.launcher.launch(lines, initial_job_idx=first)
            for trial, found in zip(trials, returns, strict=True):
                value = found.return_value if found.status == JobStatus.COMPLETED else math.nan
                known = isinstance(value, float | int) and math.isfinite(value)
                study.tell(trial, value if known else None, None if known else optuna.trial.TrialState.FAIL)
        done = [t for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE]
        if not done:
            return returns[-1].return_value  # raises what the job did
        best = study.best_trial
        chosen = " ".join(f"{k}={v}" for k, v in best.params.items())
        folder = folder_of(self.hydra_context.config_loader, self.config, best.number, asked[best.number])
        score = self.config.objective or _objective(folder)
        print(
            f"best of {len(done)} trials: trial {best.number}, {score} = {best.value:.4g} on the validation split ({chosen}); "
            "to read its test split, once:\n"
            f"python -m multimodal_lab.evaluate run={folder} eval_split=test",
            flush=True,
        )
        return best.value


def drawn(trial: Any, override: Override) -> str:
    """The line of one trial for an override: a plain one as it is, a value for a sweep."""
    key = override.get_key_element()
    if not override.is_sweep_override():
        return f"{key}={override.get_value_element_as_str()}"
    if override.is_discrete_sweep():
        return f"{key}={trial.suggest_categorical(key, [*override.sweep_string_iterator()])}"
    low, high, log = _interval(override)
    whole = isinstance(low, int) and isinstance(high, int)
    return f"{key}={(trial.suggest_int if whole else trial.suggest_float)(key, low, high, log=log)}"


def _objective(folder: Path) -> str:
    """The score that the run in `folder` was judged by, where `objective` is null."""
    from multimodal_lab.runs import hashes
    from multimodal_lab.runs.guarded import read_json

    try:
        return str(read_json(folder / hashes.SUMMARY)[hashes.OBJECTIVE])
    except (OSError, ValueError, KeyError, TypeError):  # such as on the disk of another machine
        return "on the validation split"


def ends(override: Override) -> str:
    """An interval as a sweep over its two ends."""
    low, high, _ = _interval(override)
    return f"{override.get_key_element()}={low},{high}"


def _interval(override: Override) -> tuple[Any, Any, bool]:
    value = override.value()
    assert isinstance(value, IntervalSweep)
    return value.start, value.end, "log" in value.tags


def direction(cfg: DictConfig, given: str) -> str | None:
    """`maximize` or `minimize`: as given, or the better way of `cfg.objective`; an accuracy where that is null."""
    from multimodal_lab.config.rules.wiring import scored
    from multimodal_lab.metric import direction as metric

    name = cfg.get("objective")
    if given != "auto" or name is None:
        return "maximize" if given == "auto" else given
    return {"max": "maximize", "min": "minimize"}.get(str(metric.usual(name, scored(_evaluated(cfg)))))


def _evaluated(cfg: DictConfig) -> dict[str, Any]:
    return {"evaluate": OmegaConf.to_container(cfg.evaluate, resolve=False)}
