"""Compose configs with Hydra, memoised: each set of group choices is composed once per process.

A sweep therefore runs with the configs that were checked when it started, whatever is edited while it runs.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.config_repository import CachingConfigRepository
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from multimodal_lab.config.hydra_allowlist import NO_VARIABLES, Refused, hydra_problems, searchpath_problems
from multimodal_lab.config.problem import Problem
from multimodal_lab.config.targets import conf_dir

# Our launcher of that name is called as joblib's plugin, whose schema is there too where that is installed.
warnings.filterwarnings("ignore", r"\s*.hydra/launcher/joblib. is validated against ConfigStore schema", UserWarning)
# Of the process, not of a loader: a launcher's worker gets a new loader with every job.
_composed: dict[tuple[Any, ...], DictConfig] = {}


@lru_cache(maxsize=4096)
def read(line: str) -> Override:
    """Parse one override with Hydra's grammar, memoised; `OverrideParseException` if it cannot be parsed."""
    (override,) = OverridesParser.create().parse_overrides([line])
    return override


class CachingLoader(ConfigLoaderImpl):
    """Hydra's config loader; it composes what the choices name once, and sets values in a copy as Hydra does."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self._first: tuple[tuple[Any, ...], DictConfig] | None = None  # the command line's own: asked by check and run

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Hydra's method of this name; all callers but the first may change what they get."""
        key = (config_name, tuple(overrides), run_mode)
        if self._first is not None and self._first[0] == key:
            return copy.deepcopy(self._first[1])
        parsed = [read(line) for line in overrides]
        values = [o for o in parsed if self._sets_value(o)]
        chosen = [str(o.input_line) for o in parsed if not any(o is v for v in values)]
        base = (*map(str, self.config_search_path.get_path()), config_name, *chosen, run_mode)
        if base not in _composed:
            try:
                _composed[base] = super().load_configuration(
                    config_name, chosen, run_mode, from_shell, validate_sweep_overrides
                )
            except KeyError as error:  # of a variable that the environment lacks
                raise Refused([Problem("hydra.job.env_copy", error.args[0], NO_VARIABLES)]) from error
        cfg = copy.deepcopy(_composed[base])
        # Hydra has no public way to set parsed overrides in a config, and a second one would come to differ from it.
        self._apply_overrides_to_config(values, cfg)
        _record(cfg, parsed)
        if found := [*hydra_problems(cfg.hydra, {o.key_or_group for o in parsed})]:
            raise Refused(found)
        self._first = self._first or (key, cfg)  # the check reads it; a run, which may change its own, gets a copy
        return cfg

    def _process_config_searchpath(
        self, config_name: str | None, parsed_overrides: list[Override], repo: CachingConfigRepository
    ) -> None:
        """Hydra's method of this name; a package on the search path would be imported by it."""
        typed = [o.value() for o in parsed_overrides if o.key_or_group == "hydra.searchpath"]
        loaded = None if config_name is None else repo.load_config(config_name)
        node = loaded.config if loaded is not None else None
        in_file = OmegaConf.select(node, "hydra.searchpath") if isinstance(node, DictConfig) else None
        if found := [p for folders in (*typed, in_file) for p in searchpath_problems(folders)]:
            raise Refused(found)
        super()._process_config_searchpath(config_name, parsed_overrides, repo)

    def _sets_value(self, override: Override) -> bool:
        """Whether it changes a value, and not which files are composed."""
        if override.is_sweep_override() or override.key_or_group == "hydra.searchpath":
            return False
        return isinstance(override.value(), dict) or not self.repository.group_exists(override.key_or_group)


def _record(cfg: DictConfig, overrides: list[Override]) -> None:
    """Write into the node `hydra` what the command line said: Hydra saw the choices alone."""
    own = [o for o in overrides if not o.is_hydra_override()]
    name = cfg.hydra.job.config.override_dirname
    with open_dict(cfg.hydra):
        cfg.hydra.overrides.hydra = [o.input_line for o in overrides if o.is_hydra_override()]
        cfg.hydra.overrides.task = [o.input_line for o in own]
        cfg.hydra.job.override_dirname = get_overrides_dirname(
            overrides=own, kv_sep=name.kv_sep, item_sep=name.item_sep, exclude_keys=name.exclude_keys
        )


def hydra(folders: Sequence[Path] = ()) -> Hydra:
    """Hydra over a config tree, the installed one by default; further folders come as `--config-dir` has them."""
    version.setbase("1.3")
    first, *more = folders or [conf_dir()]
    path = create_config_search_path(str(first))
    for folder in more:
        path.prepend("command-line", f"file://{folder}", anchor=SearchPathQuery(provider="schema", path=None))
    return Hydra(task_name="run", config_loader=CachingLoader(path))


def composed(words: Sequence[str]) -> DictConfig:
    """The config of a command line without flags, its node `hydra` left out."""
    cfg = hydra().compose_config("config", list(words), RunMode.RUN)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg
