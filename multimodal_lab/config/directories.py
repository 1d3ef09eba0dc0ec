"""Check the directories of a command: those that runs are written to, and those that data lie in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from multimodal_lab.config.facts import fact
from multimodal_lab.config.overrides import quoted
from multimodal_lab.config.problem import Problem
from multimodal_lab.text import meant


def misplaced(cfg: DictConfig, overrides: list[Override], several: bool) -> Iterator[Problem]:
    """Directories that this command would not use: a sweep's runs lie below `hydra.sweep.dir`, a single one in `dir`."""
    ignored = ("dir", "hydra.run.dir") if several else ("hydra.sweep.dir", "hydra.sweep.subdir")
    typed = {o.key_or_group: o.get_value_string() for o in overrides if o.key_or_group in ignored and not o.is_delete()}
    own = _written(cfg)
    if several and own is not None and "${run_id:" not in own:
        typed.setdefault("dir", own)
    if several:
        expects, near = (
            "a sweep or study gives each run a directory of its own, below hydra.sweep.dir",
            "hydra.sweep.dir",
        )
    else:
        expects, near = "is of a sweep (-m); a single run is written to dir", "dir"
    for key, value in typed.items():
        yield Problem(key, value, expects, f"{near}={value}")


def at_home(cfg: DictConfig, several: bool) -> list[str]:
    """The override that gives a directory which begins with `~` in full: in a quoted word no shell expands it."""
    part = "sweep" if several else "run"
    plain: Any = OmegaConf.to_container(cfg.hydra[part], resolve=False)
    own = _written(cfg) if plain["dir"] == "${dir}" else None
    folder = str(plain["dir"]) if own is None else own
    return [f"hydra.{part}.dir={quoted(os.path.expanduser(folder))}"] if folder.startswith("~") else []


def _written(cfg: DictConfig) -> str | None:
    """`dir` as it is written, unresolved: its default names a time."""
    if "dir" not in cfg:
        return None
    found: Any = OmegaConf.to_container(OmegaConf.masked_copy(cfg, ["dir"]), resolve=False)
    return str(found["dir"])


def absent(cfg: DictConfig) -> Iterator[Problem]:
    """A folder of data that is not there; nothing is known of the folders of a cluster's machines."""
    launcher: Any = OmegaConf.to_container(cfg.hydra.launcher) if OmegaConf.select(cfg, "hydra.launcher") else {}
    if fact(str(launcher.get("_target_")), "remote", False, launcher):
        return
    for key in ("data.root", "data.source.root"):
        try:
            root = OmegaConf.select(cfg, key)
        except OmegaConfBaseException:  # missing, which is told at its own place
            continue
        folder = Path(os.path.expanduser(str(root)))
        if isinstance(root, str) and not folder.is_dir():
            beside = [p.name for p in folder.parent.iterdir() if p.is_dir()] if folder.parent.is_dir() else []
            near = f"{key}={folder.with_name(like)}" if (like := meant(folder.name, beside)) else ""
            yield Problem(key, root, "is a file, not a folder" if folder.exists() else "this folder is not there", near)
            return
