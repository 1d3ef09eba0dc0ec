"""What is wrong with a value set in one chosen file, told without composing: most mistakes, at a third of the time."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.types import Override

from multimodal_lab import schema
from multimodal_lab.expect import expected, problems
from multimodal_lab.overrides import FOLDERS, is_choice, values_of
from multimodal_lab.problem import UNKNOWN, Problem, join, unknown_key
from multimodal_lab.schema import node_problems
from multimodal_lab.signature import signature

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def quick_problems(overrides: list[Override], folder: Path, known: dict[str, list[str]]) -> list[Problem]:
    """Problems of top-level values, and of values in a group whose choice is one plain file; silent on the rest.

    A file with a defaults list, an `experiment`, or an override that moves a `_target_` is left to the full check.
    """
    if any(o.key_or_group in FOLDERS or "_target_" in o.key_or_group for o in overrides):
        return []
    chosen = {**_defaults(folder / "config.yaml"), **{o.key_or_group: o for o in overrides if is_choice(o, known)}}
    top = signature(f"{schema.__name__}.Config").parameters
    found: list[Problem] = []
    for override in overrides:
        if override.key_or_group in top and not is_choice(override, known) and not override.is_delete():
            key = override.key_or_group
            plain = [v for v in values_of(override) if not (isinstance(v, dict | list) or "${" in str(v))]
            found += [p for value in plain for p in problems(expected(top[key]), value, key)]
        group, _, path = override.key_or_group.partition(".")
        choice = chosen.get(group)
        name = choice.value() if isinstance(choice, Override) and not choice.is_sweep_override() else choice
        if group in known and path and isinstance(name, str) and not override.is_delete():
            node = _load(folder / group / f"{name}.yaml")
            if "_target_" in node and "defaults" not in node:
                found += _set(node, override, group, path)
    return found


def _set(node: dict[str, Any], override: Override, group: str, path: str) -> Iterator[Problem]:
    added = override.is_add() or override.is_force_add()
    for value in values_of(override):
        tree = copy.deepcopy(node)
        inner, walked = tree, group
        *parents, last = path.split(".")
        for part in parents:
            below = inner.get(part)
            if not isinstance(below, dict):
                return
            inner, walked = below, join(walked, part)
        if last not in inner and not added:
            yield unknown_key(join(walked, last), value, [k for k in inner if not k.startswith("_")], walked)
            return
        if isinstance(value, dict) or isinstance(inner.get(last), dict):
            return
        inner[last] = value
        yield from (p for p in node_problems(_late(tree), group) if p.key.startswith(override.key_or_group))


def _defaults(file: Path) -> dict[str, Any]:
    entries = _load(file).get("defaults", [])
    return {k: v for entry in entries if isinstance(entry, dict) for k, v in entry.items()}


def _load(file: Path) -> dict[str, Any]:
    """A config file's plain values; {} where Hydra is to say what is wrong with it."""
    try:
        found = yaml.load(file.read_text(encoding="utf-8"), Loader)
    except (OSError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _late(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _late(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_late(v) for v in value]
    return UNKNOWN if isinstance(value, str) and "${" in value else value
