"""Check every job of a command line (syntax, choices, types, rules) before torch is imported."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import HydraException
from hydra.types import RunMode, TaskFunction
from hydra.utils import get_class
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from multimodal_lab.config import compose, schema
from multimodal_lab.config.apply import apply
from multimodal_lab.config.directories import absent, at_home, misplaced
from multimodal_lab.config.hydra_allowlist import Refused
from multimodal_lab.config.hydra_error import problem_of
from multimodal_lab.config.overrides import choice_problems, groups, is_choice, parse
from multimodal_lab.config.problem import ConfigError, Problem
from multimodal_lab.config.signature import signature
from multimodal_lab.config.targets import conf_dir
from multimodal_lab.text import and_more, distinct, expected_one_of

SHOWN = 12


def check_command(argv: Sequence[str]) -> SweepJobs | None:
    """Compose and check every job that `argv` (without the program's name) asks for; the jobs, ready to run.

    Raises `ConfigError` that lists every problem: key, value, what was expected, the nearest valid choice. Flags that
    only show something (`--help`, `--cfg`, `--info`, …) are left to Hydra: None. Imports neither torch nor any component.
    """
    args = flags(argv)
    if shows(args):
        return None
    jobs, overrides = asked(args)
    refuse(jobs.problems(overrides, args.multirun))
    return jobs


def asked(args: argparse.Namespace) -> tuple[SweepJobs, list[Override]]:
    """The jobs of a command line, and its overrides; `ConfigError` for what can't be read, or is no choice of its group."""
    folders = config_folders(args)
    known = groups(folders)
    top = sorted({*(g for g in known if "/" not in g), *signature(f"{schema.__name__}.Config").parameters})
    overrides, found = parse(args.overrides, top, known)
    found += [p for o in overrides for p in choice_problems(o, known)]
    jobs = SweepJobs(args.config_name or "config", folders, known)
    if not args.multirun:
        found += [
            p for o in overrides for p in sweep_problems(o, not shows(args), lambda line: jobs.passes(line, overrides))
        ]
    refuse(found)
    return jobs, overrides


class SweepJobs:
    """The jobs of one command line: composed, checked one by one, and run."""

    def __init__(self, name: str, folders: tuple[Path, ...], known: dict[str, list[str]]) -> None:
        self.name = name
        self.known = known
        self.hydra = compose.hydra(folders)
        self.lines: list[str] = []
        self.several, self.count = False, 1
        self.absent: list[Problem] = []  # folders of data: refused by whoever runs the jobs on this machine

    def problems(self, overrides: list[Override], multirun: bool) -> list[Problem]:
        """What is wrong with any job; a sweeper class with a function `problems` reports those of the jobs that it makes."""
        mode = RunMode.MULTIRUN if multirun else RunMode.RUN
        self.lines = ordered(
            [*(str(o.input_line) for o in overrides), *([f"hydra.mode={mode.name}"] if multirun else [])]
        )
        try:
            cfg, found = self.configured(self.lines, mode)
            if found:
                return found
            self.several = cfg.hydra.mode == RunMode.MULTIRUN
            self.absent = list(absent(cfg))
            if found := list(misplaced(cfg, overrides, self.several)):
                return found
            self.lines = ordered([*self.lines, *at_home(cfg, self.several)])
            if ask := getattr(get_class(cfg.hydra.sweeper._target_), "problems", None):
                found = ask(self, overrides)
            elif self.several:
                found = self.of_sweep(cfg, overrides)
            else:
                found = schema.check(cfg)
        except Refused as error:
            return distinct(error.problems)
        except (HydraException, OmegaConfBaseException, ValueError, OSError) as error:
            return [problem_of(error, self.lines, self.known)]
        if self.absent:  # whatever else could not be read there
            found = found and [*self.absent, *(p for p in found if "is no packed store" not in p.expected)]
        # many jobs have the same problem, and many keys the same reason not to be resolved: it is reported once
        return list(
            {p.expected if p.expected.startswith(schema.UNRESOLVED) else str(p): p for p in reversed(found)}.values()
        )[::-1]

    def passes(self, line: str, beside: list[Override]) -> bool:
        """Whether nothing is wrong with this line's own key, beside those that are no sweeps."""
        key, one = line.lstrip("+~").partition("=")[0], compose.read(line)
        found = self.problems([*(o for o in beside if not o.is_sweep_override()), one], False)
        return not any(choice_problems(one, self.known)) and not any(f"{p.key}.".startswith(f"{key}.") for p in found)

    def of_sweep(
        self, cfg: DictConfig, overrides: list[Override], ends: Callable[[Override], str] | None = None
    ) -> list[Problem]:
        """What is wrong with the jobs of a sweep; `ends` gives the line of what stands for an interval."""
        lines = [f"{k}={v}" for k, v in (cfg.hydra.sweeper.get("params") or {}).items()]
        task = [*map(compose.read, lines), *(o for o in overrides if not o.is_hydra_override())]
        drawn = [o for o in task if o.is_sweep_override() and not o.is_discrete_sweep()]
        if ends is None and drawn:
            what = "a plain sweep runs listed values; trials that draw from an interval are hydra/sweeper=optuna"
            return [Problem(o.get_key_element(), o.get_value_string(), what, "hydra/sweeper=optuna") for o in drawn]
        task = [compose.read(ends(o)) if ends and o in drawn else o for o in task]
        jobs = [[*cfg.hydra.overrides.hydra, *job] for job in expand(task)]
        if ends is None:
            self.count = len(jobs)
        first = representative(jobs)
        found = [p for job in first for p in self._of_job(job)]
        # every value is right in some job: what is left are combinations
        return found or [p for job in jobs if job not in first for p in self._of_job(job)]

    def _of_job(self, lines: list[str]) -> list[Problem]:
        cfg, found = self.configured(lines)
        self.absent += absent(cfg)
        return found or schema.check(cfg)

    def configured(self, lines: list[str], mode: RunMode = RunMode.RUN) -> tuple[DictConfig, list[Problem]]:
        """The config of these lines as Hydra composes it, and the problems of those that can't be set in it."""
        lines = ordered(lines)
        try:
            return self.hydra.compose_config(self.name, lines, mode), []
        except (HydraException, ValueError, IndexError):  # the last two of a key below a list
            # Hydra stops at the first value that it can't set: the choices first, then value by value, so that all are reported
            single = [o for o in map(compose.read, lines) if not o.is_sweep_override()]
            chosen = [o for o in single if is_choice(o, self.known) or o.is_hydra_override()]
            cfg = self.hydra.compose_config(self.name, [str(o.input_line) for o in chosen], mode)
            if found := [p for o in single if o not in chosen and (p := apply(o, cfg, self.known))]:
                return cfg, found
            raise

    def composed(self, lines: list[str]) -> DictConfig:
        """The config of these lines; `ConfigError`, as of a run, for what is wrong with them."""
        try:
            cfg, found = self.configured(lines)
        except (HydraException, OmegaConfBaseException) as error:
            cfg, found = DictConfig({}), [problem_of(error, lines, self.known)]
        refuse(found)
        return cfg

    def run(self, task: TaskFunction) -> None:
        """Run them, once they are known to be good."""
        (self.hydra.multirun if self.several else self.hydra.run)(self.name, task, self.lines)


def ordered(lines: list[str]) -> list[str]:
    """Hydra's own overrides first, as its launchers order them, so that a job finds the composition of the check."""
    return sorted(lines, key=lambda line: not line.lstrip("+~").startswith(("hydra.", "hydra/")))


def expand(overrides: list[Override]) -> list[list[str]]:
    """The override lines of each job, sweeps multiplied out as Hydra's own sweeper does."""
    jobs: list[list[str]] = BasicSweeper.split_arguments(overrides, None)[0]
    return jobs


def representative(jobs: list[list[str]]) -> list[list[str]]:
    """First jobs that together contain every override, so that a wrong override is found without checking all jobs."""
    seen: set[str] = set()
    chosen: list[list[str]] = []
    for job in jobs:
        if not seen.issuperset(job):
            chosen.append(job)
            seen.update(job)
    return chosen


def flags(argv: Sequence[str]) -> argparse.Namespace:
    """Hydra's flags; an unknown one is a `ConfigError`."""
    parser = get_args_parser()
    args, rest = parser.parse_known_intermixed_args(list(argv))
    known = [option for action in parser._actions for option in action.option_strings]
    if unknown := [r for r in rest if r.startswith("-")]:
        near = expected_one_of(unknown[0].partition("=")[0], [f for f in known if f.startswith("--")])
        raise ConfigError(f"{unknown[0]}: no such flag; {near}")
    if args.experimental_rerun:
        raise ConfigError("--experimental-rerun: refused, it unpickles a file; type the overrides instead")
    return args


def shows(args: argparse.Namespace) -> bool:
    """Whether Hydra only shows something."""
    return any((args.help, args.hydra_help, args.cfg, args.info, args.shell_completion))


def config_folders(args: argparse.Namespace) -> tuple[Path, ...]:
    """The config tree, and those that `--config-dir` names, separated by `:`; `ConfigError` where one is not there."""
    first = Path(args.config_path).resolve() if args.config_path else conf_dir()
    if not args.config_dir:
        return (first,)
    more = [Path(name).resolve() for name in args.config_dir.split(os.pathsep)]
    for folder in more:
        if not folder.is_dir():
            raise ConfigError(f"--config-dir={args.config_dir}: no such folder: {folder}")
    return (first, *more)


def sweep_problems(
    override: Override, sweeps: bool = False, passes: Callable[[str], bool] = lambda _: False
) -> Iterator[Problem]:
    """Several values where one is taken. sweeps: whether -m has this command run a job for each; passes: whether a line may be
    run, as a list of the same values is where one is wanted."""
    if not override.is_sweep_override():
        return
    key, text = override.get_key_element(), override.get_value_string()
    listed = f"{key}=[{text}]"
    several = [f"-m {key}={text}"] if sweeps else expand([override])[0] if override.is_discrete_sweep() else []
    if override.value_type == ValueType.SIMPLE_CHOICE_SWEEP and passes(listed):
        several += [f"{listed} for a list"]
    what = "several values: add -m to run one job for each" if sweeps else "several values, where one is taken"
    yield Problem(key, text, what, ", or ".join(several))


def refuse(found: list[Problem]) -> None:
    """Raise a `ConfigError` that lists the problems, if there are any."""
    if not found:
        return
    lines = [*map(str, found[:SHOWN]), and_more(found, SHOWN)]
    raise ConfigError("\n".join(filter(None, lines)))
