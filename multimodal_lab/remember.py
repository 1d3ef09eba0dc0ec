"""Compose each set of group choices once in a process: what the check has composed, the jobs of a sweep do not again.

A sweep therefore runs with the configs that were checked when it started, whatever is edited while it runs.
"""

from __future__ import annotations

import copy
from dataclasses import astuple, replace
from typing import Any

from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import IConfigRepository
from hydra._internal.defaults_list import DefaultsList, Overrides, create_defaults_list
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

_defaults_list = create_defaults_list
_composed = ConfigLoaderImpl._compose_config_from_defaults_list
_lists: dict[Any, DefaultsList] = {}
_configs: dict[Any, DictConfig] = {}


def install() -> None:
    """Let Hydra remember both halves of a composition: which files the choices name, and what these files give."""
    config_loader_impl.create_defaults_list = defaults_list  # type: ignore[attr-defined]
    ConfigLoaderImpl._compose_config_from_defaults_list = composed  # type: ignore[method-assign]


def defaults_list(
    repo: IConfigRepository,
    config_name: str | None,
    overrides_list: list[Override],
    prepend_hydra: bool,
    skip_missing: bool,
) -> DefaultsList:
    """Hydra's function of this name; single values, which choose no file, are left out of what is remembered."""
    values = Overrides(repo, overrides_list).config_overrides
    choices = [o for o in overrides_list if not any(o is value for value in values)]
    key = (_places(repo), config_name, tuple(o.input_line for o in choices), prepend_hydra, skip_missing)
    if key not in _lists:
        _lists[key] = _defaults_list(repo, config_name, choices, prepend_hydra, skip_missing)
    return replace(_lists[key], config_overrides=values)


def composed(self: ConfigLoaderImpl, defaults: list[ResultDefault], repo: IConfigRepository) -> DictConfig:
    """Hydra's method of this name; the caller gets a copy of its own."""
    key = (_places(repo), tuple(astuple(d) for d in defaults))
    if key not in _configs:
        _configs[key] = _composed(self, defaults, repo)
    return copy.deepcopy(_configs[key])


def _places(repo: IConfigRepository) -> tuple[str, ...]:
    return tuple(f"{source.provider} {source.path}" for source in repo.get_sources())
