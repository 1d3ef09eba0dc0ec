"""Custom OmegaConf resolvers used in `conf/`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.resolvers import oc

from multimodal_lab.config import redact
from multimodal_lab.runs import directory
from multimodal_lab.runs.aliases import upgrade_config

REQUIRED = object()  # of a key that every store has


def first_label(labels: Any) -> str:
    """The first label of a data set; `species` where they are only known once its files are read."""
    return str(labels[0]) if labels and not isinstance(labels, str) else "species"


def first(names: Any) -> str | None:
    """The first of some names; None where there are none."""
    return str(names[0]) if names and not isinstance(names, str) else None


def stored(root: Any, there: Any, made_up: Any) -> Any:
    """`there` where a folder of data is given, `made_up` where `root` is null and the data are made up."""
    return made_up if root is None else there


def packed(root: Any, key: str, before: Any = REQUIRED) -> Any:
    """What the store in `root` was packed with: `key` of `data` in its manifest; `ValueError` if it holds none.

    before: what stores of earlier versions, which lack the key, were packed with.
    """
    path = Path(str(root)).expanduser() / "manifest.json"
    try:
        found: Any = upgrade_config({"data": json.loads(path.read_bytes())["data"]})[
            "data"
        ]  # packed by a version before
        for part in key.split("."):
            found = found[part] if before is REQUIRED else found.get(part, before)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path.parent} is no packed store (scripts/pack.py makes one): no {path.name} to read in it"
        ) from error
    except (LookupError, TypeError) as error:
        raise ValueError(f"{path.parent} is no packed store (scripts/pack.py makes one): no {key} in {path}") from error
    return found


def env(name: str, *default: Any) -> Any:
    """OmegaConf's `oc.env`, which remembers what it gave: it is hidden where an error repeats it."""
    if name in os.environ:
        redact.note_read(name, os.environ[name])
    return oc.env(name, *default)


def register() -> None:
    """Make the resolvers known; a composed config keeps the one run id that it was given."""
    OmegaConf.register_new_resolver("oc.env", env, replace=True)
    OmegaConf.register_new_resolver("run_id", directory.run_id, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("first_label", first_label, replace=True)
    OmegaConf.register_new_resolver("first", first, replace=True)
    OmegaConf.register_new_resolver("stored", stored, replace=True)
    OmegaConf.register_new_resolver("packed", packed, replace=True)
