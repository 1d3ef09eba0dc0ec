"""Parse command-line overrides with Hydra's grammar; errors become `Problem`s, not tracebacks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, Node
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from multimodal_lab.config.compose import read
from multimodal_lab.config.problem import Problem, not_one_of, show, unknown_key
from multimodal_lab.config.signature import signature
from multimodal_lab.config.targets import is_allowed
from multimodal_lab.runs.aliases import renamed_key
from multimodal_lab.text import nearest

# What of Hydra's own node may be set from the command line; the rest names classes or files to load.
HYDRA = ["run.dir", "sweep.dir", "sweep.subdir", "job.name", "job.chdir", "job.num", "job.id", "output_subdir"]
HYDRA += ["launcher", "sweeper", "verbose", "mode", "searchpath", "job_logging.root.level"]
FOLDERS = {"experiment", "study"}  # groups whose choices lie in folders of their own too: experiment=folder/name
STREAM = "multimodal_lab.config.schema.StreamConfig"
PLURAL = {"backbone": "backbones", "head": "heads", "loss": "losses"}


@lru_cache
def groups(folders: tuple[Path, ...]) -> dict[str, list[str]]:
    """{group: choices} of the config folders; the root's own files are no group, and a name that begins with _ is no choice:
    other files take it by their defaults lists."""
    found: dict[str, set[str]] = {}
    for folder in folders:
        for where, _, files in os.walk(folder):
            parts = Path(where).relative_to(folder).parts
            names = [f.removesuffix(".yaml") for f in files if f.endswith(".yaml") and f[0] != "_"]
            found.setdefault("/".join(parts), set()).update(names)
            if len(parts) > 1 and parts[0] in FOLDERS:
                found.setdefault(parts[0], set()).update("/".join([*parts[1:], name]) for name in names)
    return {group: sorted(names) for group, names in found.items() if group and names}


class Choices:
    """The part of Hydra's config loader that `fusion=glob(*)` asks."""

    def __init__(self, known: dict[str, list[str]]) -> None:
        self.known = known

    def get_group_options(self, group_name: str, results_filter: Any = None) -> list[str]:
        """The choices of a group; none where there is no such group, which is reported elsewhere."""
        return self.known.get(group_name, [])


def parse(lines: list[str], keys: list[str], known: dict[str, list[str]]) -> tuple[list[Override], list[Problem]]:
    """The overrides that can be read, and a problem for each that can't, with the nearest of `keys`."""
    good: list[Override] = []
    bad: list[Problem] = []
    for line in lines:
        key, equals, value = line.lstrip("+~").partition("=")
        try:
            override = replace(read(line), config_loader=Choices(known))  # type: ignore[arg-type]
            if not override.key_or_group:
                raise ValueError("no key")
        except (HydraException, ValueError, RecursionError) as error:
            near = nearest(key.split(".")[0].split("@")[0], keys)
            expects = "expected KEY=VALUE; quote a value that holds any of , : = { } [ ] ( ) as KEY='\"VALUE\"'"
            reason = "" if not equals else f" ({str(error).splitlines()[0]})" if str(error) else ""
            bad.append(Problem(key or "KEY", value, expects + reason, f"{near[0]}=…" if near else ""))
            continue
        good.append(override)
    return good, bad


def is_choice(override: Override, known: dict[str, list[str]]) -> bool:
    """Whether the override chooses files of a group, as opposed to setting a value in the composed config."""
    if override.key_or_group.startswith("hydra/"):
        return True
    value = None if override.is_sweep_override() else override.value()
    return override.key_or_group in known and not isinstance(value, dict)


def choice_problems(override: Override, known: dict[str, list[str]]) -> Iterator[Problem]:
    """Wrong groups, wrong choices, and keys of Hydra's own that a command line may not set."""
    group, key = override.key_or_group, override.get_key_element().lstrip("+~")
    values = values_of(override)
    if override.is_hydra_override():
        yield from _hydra_problems(group, override, values)
    elif group in known:
        for value in values:
            if isinstance(value, dict):
                if group != "modality" or override.package is not None:
                    expects = f"expected the name of a choice ({', '.join(known[group])}), then {group}.KEY=VALUE"
                    yield Problem(key, value, expects, f"{key}={known[group][0]}")
            elif value is None and override.is_delete():
                continue
            else:
                for name in value if isinstance(value, list) else [value]:
                    if not isinstance(name, str) or name not in known[group]:
                        yield not_one_of(key, name, known[group])
        if override.package and "." in override.package and override.package.split(".")[0] not in PLURAL.values():
            near = f"{PLURAL.get(group, group)}.{override.package.split('.', 1)[1]}"
            yield Problem(
                key, values[0] if values else None, f"{override.package} is no place for a {group}", f"{group}@{near}"
            )
    elif "/" in group or override.package is not None:
        near = nearest(group, known)[0]
        yield Problem(key, values[0] if values else None, f"no such group; there are {', '.join(known)}", f"{near}=…")


def _hydra_problems(group: str, override: Override, values: list[Any]) -> Iterator[Problem]:
    rest = group.removeprefix("hydra").lstrip("./")
    safe = group.startswith("hydra/") or any(rest == k or rest.startswith(f"{k}.") for k in HYDRA)
    if not safe or "_target_" in group or any(_names_code(v) for v in values):
        near = nearest(rest, HYDRA)[0]
        yield Problem(
            group, values[0] if values else None, f"can't be set here; hydra has {', '.join(HYDRA)}", f"hydra.{near}=…"
        )


def _names_code(value: Any) -> bool:
    if isinstance(value, dict):
        return any(str(k) in {"()", "_target_", "class"} or _names_code(v) for k, v in value.items())
    return isinstance(value, list) and any(_names_code(v) for v in value)


def values_of(override: Override) -> list[Any]:
    """The value, or all values of a sweep; [] for an interval."""
    if override.is_sweep_override():
        return [Override._convert_value(v) for v in override.sweep_iterator()] if override.is_discrete_sweep() else []
    return [override.value()]


def apply(override: Override, cfg: DictConfig, known: dict[str, list[str]]) -> Problem | None:
    """Set, add or delete one value of a composed config in place, as Hydra does; the problem if it can't."""
    try:
        ConfigLoaderImpl._apply_overrides_to_config([override], cfg)
    except (HydraException, OmegaConfBaseException, ValueError, TypeError) as error:
        return _refusal(override, cfg, known, error)
    return None


def _refusal(override: Override, cfg: DictConfig, known: dict[str, list[str]], error: Exception) -> Problem:
    """What Hydra says of a value that it can't set, with the keys that are there and the nearest."""
    key, value = override.key_or_group, override.value()
    found = _walk(cfg, key)[0]
    adds = override.is_add() or override.is_force_add()
    if not found and not adds:
        return _no_such_key(key, value, cfg, known, adding=not override.is_delete())
    if found and override.is_add():
        return Problem(f"+{key}", value, "is there already; set it without the +", f"{key}={value}")
    cause = error.__cause__ or error
    if isinstance(cause, ConfigKeyError | ConfigAttributeError):
        return Problem(key, value, "adds keys, which takes a +", f"+{key}={show(value)}")
    near = f"~{key}" if override.is_delete() else f"~{key} +{key}={show(value)}"
    return Problem(key, value, f"can't be set: {str(cause).splitlines()[0]}", near)


def _walk(cfg: DictConfig, key: str) -> tuple[bool, Any]:
    """Whether `key` is there, and its node, unresolved."""
    node: Any = cfg
    for part in key.split(".") if key else ():
        if not isinstance(node, DictConfig) or node._is_none() or node._is_missing() or part not in list(node.keys()):
            return False, None
        node = node._get_node(part)
    return True, node


def _no_such_key(key: str, value: Any, cfg: DictConfig, known: dict[str, list[str]], adding: bool) -> Problem:
    parent, names = _neighbours(key, cfg, known)
    if renamed_key(key) is not None:
        return unknown_key(key, value, names, parent)
    where = parent or "the config"
    near = f"+{key}={show(value)}" if adding and _may_be_added(key, cfg) else _nearest_key(key, cfg, known)
    return Problem(key, value, f"no such key; {where} has {', '.join(names) or 'no keys'}", near)


def _may_be_added(key: str, cfg: DictConfig) -> bool:
    """Whether the schema, or what its node builds, knows a key that the config leaves out."""
    parent, _, name = key.rpartition(".")
    found, node = _walk(cfg, parent)
    if not found or not isinstance(node, DictConfig) or node._is_none() or node._is_missing():
        return False
    raw = node._get_node("_target_") if "_target_" in list(node.keys()) else None
    target = raw._value() if isinstance(raw, Node) else STREAM if re.fullmatch(r"modality\.\w+", parent) else None
    return isinstance(target, str) and (target == STREAM or is_allowed(target)) and name in signature(target).parameters


def _nearest_key(key: str, cfg: DictConfig, known: dict[str, list[str]]) -> str:
    parent, names = _neighbours(key, cfg, known)
    missing = key[len(parent) + 1 if parent else 0 :]
    near = nearest(missing.split(".")[0], names)
    return (f"{parent}.{near[0]}" if parent else near[0]) if near else parent


def _neighbours(key: str, cfg: DictConfig, known: dict[str, list[str]]) -> tuple[str, list[str]]:
    """The deepest part of `key` that is there, and the names it holds."""
    node: Any = cfg
    walked: list[str] = []
    for part in key.split("."):
        below = node._get_node(part) if isinstance(node, DictConfig) and part in list(node.keys()) else None
        if not isinstance(below, DictConfig) or below._is_none() or below._is_missing():
            break
        node = below
        walked.append(part)
    names = [str(k) for k in node if not str(k).startswith("_")] if isinstance(node, DictConfig) else []
    if not walked:
        names = sorted({*names, *(g for g in known if "/" not in g)} - {"hydra"})
    return ".".join(walked), names
