"""The allowlist of Hydra's own node: what its shipped defaults name, exactly, and nothing else.

Hydra builds callbacks, handlers of logging, a launcher and a sweeper from this node, sets the environment of a job from it
and imports the packages of its search path, all before a job begins and none of it through `safe_instantiate`. Any file of a
config folder may write into it, by `hydra:`, by a `# @package` line or by its defaults list, so that it is the composed node
that is checked.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import hydra.conf
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from multimodal_lab.config.facts import fact
from multimodal_lab.config.problem import ConfigError, Problem
from multimodal_lab.config.rules.extras import absent_packages
from multimodal_lab.text import nearest

CALLBACK = {"_target_": "multimodal_lab.sweep_table.Table"}
LAUNCHERS = {
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
    "hydra_plugins.multimodal_lab_launcher.joblib_launcher.JoblibLauncher",
    "hydra_plugins.multimodal_lab_launcher.ray_launcher.RayLauncher",
    "hydra_plugins.multimodal_lab_launcher.submitit_launcher.LocalLauncher",
    "hydra_plugins.multimodal_lab_launcher.submitit_launcher.SubmititLauncher",
}
SWEEPERS = {
    "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
    "hydra_plugins.multimodal_lab_optuna.sweeper.OptunaSweeper",
    "hydra_plugins.multimodal_lab_study.sweeper.Study",
}
# Values of the shipped launchers that are no plain words.
SHIPPED = {"${hydra.sweep.dir}/.submitit/%j", "${hydra.job.name}"}
NO_VARIABLES = "a config sets no variables of the environment; set them in the shell"
LEVELS = {*logging.getLevelNamesMapping()}


class Refused(ConfigError):
    """A composed config whose node `hydra` names what Hydra may not build, set or import."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def hydra_problems(node: DictConfig, typed: Container[str] = ()) -> Iterator[Problem]:
    """All of Hydra's own node that is not as it is shipped and could run code, set a variable or name a file to write.

    typed: the keys of the command line, whose user may give a launcher's commands; a file may not.
    """
    plain: Any = OmegaConf.to_container(node, resolve=False)
    if not isinstance(plain, dict):
        yield Problem("hydra", plain, "expected Hydra's own node")
        return
    yield from _callbacks(plain.get("callbacks"))
    for name in ("job_logging", "hydra_logging"):
        yield from _logging(name, plain.get(name))
    yield from _plugin("launcher", plain.get("launcher"), LAUNCHERS, typed)
    yield from _plugin("sweeper", plain.get("sweeper"), SWEEPERS, typed)
    yield from _packages(plain)
    yield from _job(plain.get("job"))
    yield from _directories(plain)
    yield from searchpath_problems(plain.get("searchpath"))
    if plain.get("env"):
        yield Problem("hydra.env", plain["env"], "nothing is read from here; remove it")


def searchpath_problems(folders: Any) -> Iterator[Problem]:
    """What is no folder on a search path: `pkg://` would import the package that it names."""
    for folder in [folders] if isinstance(folders, str) else folders or ():
        scheme, found, _ = str(folder).partition("://")
        if found and scheme != "file":
            yield Problem("hydra.searchpath", folder, "expected folders; a package would be imported")


def _callbacks(node: Any) -> Iterator[Problem]:
    for name, callback in node.items() if isinstance(node, dict) else [("", node)] if node else []:
        if callback is not None and callback != CALLBACK:
            found = callback.get("_target_", callback) if isinstance(callback, dict) else callback
            key = f"hydra.callbacks.{name}".rstrip(".")
            expects = f"Hydra builds no callback but {CALLBACK['_target_']}, without arguments; remove it"
            yield Problem(key, found, expects)


@cache
def _shipped(group: str) -> dict[str, Any]:
    """{choice: node} of a group of Hydra's own; its files lie in the installed package, before any other on the search path."""
    found = (Path(str(folder)) / "hydra" / group for folder in hydra.conf.__path__)
    return {
        file.stem: yaml.safe_load(file.read_text(encoding="utf-8"))
        for folder in found
        for file in folder.glob("*.yaml")
    }


def _logging(group: str, node: Any) -> Iterator[Problem]:
    """Whether a node of logging is one of Hydra's own, the root's level aside: a handler is any class, `ext://` any object."""
    shipped, key = _shipped(group), f"hydra.{group}"
    root = node.get("root") if isinstance(node, dict) else None
    level = root.get("level") if isinstance(root, dict) else None
    if isinstance(root, dict) and level is not None:
        if not isinstance(level, int) and level not in LEVELS:
            near = f"{key}.root.level={nearest(level, LEVELS)[0]}"
            yield Problem(f"{key}.root.level", level, f"expected one of {', '.join(sorted(LEVELS))}", near)
            return
        node = {**node, "root": {k: v for k, v in root.items() if k != "level"}}
    if node is not None and not any(node == _without_level(own) for own in shipped.values()):
        expects = f"is not as Hydra ships it, and may build any object; choose one of {', '.join(sorted(shipped))}"
        yield Problem(key, _told(node), expects, f"hydra/{group}=none")


def _without_level(node: dict[str, Any]) -> dict[str, Any]:
    root = node.get("root")
    return {**node, "root": {k: v for k, v in root.items() if k != "level"}} if isinstance(root, dict) else node


def _told(node: Any) -> Any:
    """The part of a logging node that a reader would look for, else all of it."""
    return next(
        (v for key in ("handlers", "filters", "formatters") if isinstance(node, dict) and (v := node.get(key))), node
    )


def _plugin(name: str, node: Any, allowed: set[str], typed: Container[str]) -> Iterator[Problem]:
    """A launcher's or sweeper's class by its name, and its values: plain words and numbers, no command, file or object."""
    key = f"hydra.{name}"
    if not isinstance(node, dict):
        yield Problem(key, node, f"expected a {name} that is shipped", f"hydra/{name}=basic")
        return
    if (target := node.get("_target_")) not in allowed:
        what = f"not a {name} that is shipped; choose one by hydra/{name}=…"
        yield Problem(f"{key}._target_", target, what, nearest(target, allowed)[0])
        return
    for own, value in node.items():
        if name == "sweeper" and own == "params":
            yield from _params(value)
        elif own != "_target_" and not (_is_plain(value) or _is_typed(value, f"{key}.{own}", typed)):
            what = "a file gives numbers and plain words here; type this on the command line"
            yield Problem(f"{key}.{own}", value, what)


def _packages(plain: dict[str, Any]) -> Iterator[Problem]:
    """What a shipped launcher `requires` and is not installed."""
    target = (plain.get("launcher") or {}).get("_target_")
    if target in LAUNCHERS:
        chosen = ((plain.get("runtime") or {}).get("choices") or {}).get("hydra/launcher", target)
        yield from absent_packages("hydra/launcher", chosen, fact(target, "requires", {}))


def _is_plain(value: Any) -> bool:
    """Whether a value is no command, file or object: a list may hold commands, a word with / names a file."""
    if isinstance(value, str):
        return value in SHIPPED or (value.isprintable() and not {*"/\\$"} & {*value})
    return not value if isinstance(value, list | dict) else True


def _is_typed(value: Any, key: str, typed: Container[str]) -> bool:
    return key in typed or (
        isinstance(value, dict) and all(_is_typed(v, f"{key}.{k}", typed) for k, v in value.items())
    )


def _params(params: Any) -> Iterator[Problem]:
    """A sweep in a file is over the task's own keys: what it set in the node `hydra` would be set in jobs alone."""
    if params is not None and not isinstance(params, dict):
        yield Problem("hydra.sweeper.params", params, "expected a dict of KEY: VALUES")
        return
    for key, value in (params or {}).items():
        try:
            (override,) = OverridesParser.create().parse_overrides([f"{key}={value}"])
            own = override.is_hydra_override() or str(override.package or "").partition(".")[0] == "hydra"
        except (HydraException, ValueError, RecursionError) as error:
            yield Problem(f"hydra.sweeper.params.{key}", value, f"can't be read ({str(error).splitlines()[0]})")
            continue
        if own:
            yield Problem(f"hydra.sweeper.params.{key}", value, "a sweep sets no key of Hydra's own; remove it")


def _job(node: Any) -> Iterator[Problem]:
    job = node if isinstance(node, dict) else {}
    if node is not None and not isinstance(node, dict):
        yield Problem("hydra.job", node, "expected Hydra's own facts of a job")
    key = "env_copy" if job.get("env_copy") else "env_set"  # what is copied stands in both
    if found := job.get(key):
        yield Problem(f"hydra.job.{key}", ", ".join(map(str, found)), NO_VARIABLES)
    name = str(job.get("name"))
    if {*"/\\$"} & {*name} or not name.isprintable():
        yield Problem("hydra.job.name", name, "names files: expected no folder in it")


def _directories(plain: dict[str, Any]) -> Iterator[Problem]:
    """Names below the run directory that would lie outside of it."""
    found = {"output_subdir": plain.get("output_subdir"), "sweep.subdir": (plain.get("sweep") or {}).get("subdir")}
    for key, value in found.items():
        path = PurePosixPath(str(value).replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts:
            yield Problem(f"hydra.{key}", value, "lies outside of the run directory; expected a folder inside of it")
