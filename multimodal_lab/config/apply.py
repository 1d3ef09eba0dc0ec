"""Set one override in a composed config, as Hydra does, or say why it can't be set."""

from __future__ import annotations

import re
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from multimodal_lab.config.problem import Problem, show, unknown_key
from multimodal_lab.config.signature import signature
from multimodal_lab.config.targets import is_allowed
from multimodal_lab.runs.aliases import renamed_key
from multimodal_lab.text import nearest

STREAM = "multimodal_lab.config.modality.StreamConfig"


def apply(override: Override, cfg: DictConfig, known: dict[str, list[str]]) -> Problem | None:
    """Set, add or delete one value of a composed config in place, as Hydra does; the problem if it can't."""
    try:
        ConfigLoaderImpl._apply_overrides_to_config([override], cfg)
    except (HydraException, OmegaConfBaseException, ValueError, TypeError, IndexError) as error:
        return _refusal(override, cfg, known, error)
    return None


def _refusal(override: Override, cfg: DictConfig, known: dict[str, list[str]], error: Exception) -> Problem:
    """What Hydra says of a value that it can't set, with the keys that are there and the nearest."""
    key, value = override.key_or_group, override.value()
    if above := _list_above(key, cfg):
        return Problem(key, value, f"{above} is a list, which has no keys and is given as a whole", f"{above}=[…]")
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
    node = _plain(cfg)
    for part in key.split(".") if key else ():
        if not isinstance(node, dict) or part not in node:
            return False, None
        node = node[part]
    return True, node


def _list_above(key: str, cfg: DictConfig) -> str:
    """The part of `key` that is a list in the config, below which it says more, or ""."""
    above = key
    while "." in above:
        above = above.rpartition(".")[0]
        if isinstance(_walk(cfg, above)[1], list):
            return above
    return ""


def _plain(cfg: DictConfig) -> Any:
    return OmegaConf.to_container(cfg, resolve=False)


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
    if not found or not isinstance(node, dict):
        return False
    target = node.get("_target_", STREAM if re.fullmatch(r"modality\.\w+", parent) else None)
    return isinstance(target, str) and (target == STREAM or is_allowed(target)) and name in signature(target).parameters


def _nearest_key(key: str, cfg: DictConfig, known: dict[str, list[str]]) -> str:
    parent, names = _neighbours(key, cfg, known)
    missing = key[len(parent) + 1 if parent else 0 :]
    near = nearest(missing.split(".")[0], names)
    return (f"{parent}.{near[0]}" if parent else near[0]) if near else parent


def _neighbours(key: str, cfg: DictConfig, known: dict[str, list[str]]) -> tuple[str, list[str]]:
    """The deepest part of `key` that is there, and the names it holds."""
    node = _plain(cfg)
    walked: list[str] = []
    for part in key.split("."):
        below = node.get(part)
        if not isinstance(below, dict):
            break
        node = below
        walked.append(part)
    names = [str(k) for k in node if not str(k).startswith("_")]
    if not walked:
        names = sorted({*names, *(g for g in known if "/" not in g)} - {"hydra"})
    return ".".join(walked), names
