"""Which config choices differ between the runs of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

_PREFIX = "choices/"
_NOT_CHOSEN = ("dir", "name", "system")  # `system` repeats the groups it is wired from


def of(folders: Sequence[Path], summaries: Sequence[Mapping[str, Any] | None]) -> list[dict[str, Any]]:
    """For each run {what was chosen: its value}, only what differs between runs.

    Read from keys `choices/<group>` of its summary if every run that has one has any; else from `config.yaml`.
    """
    known = [s for s in summaries if s is not None]
    if len(known) == len(summaries) and all(any(k.startswith(_PREFIX) for k in s) for s in known):
        made = [{k.removeprefix(_PREFIX): v for k, v in s.items() if k.startswith(_PREFIX)} for s in known]
        keys = dict.fromkeys(k for row in made for k in row)
        return [{k: row.get(k, "") for k in keys if len({str(r.get(k, "")) for r in made}) > 1} for row in made]
    configs = [yaml.safe_load((folder / "config.yaml").read_text()) or {} for folder in folders]
    return differing([{k: v for k, v in c.items() if k not in _NOT_CHOSEN} for c in configs])


def columns(runs: pd.DataFrame) -> list[str]:
    """The columns of `multirun.collect` that were chosen: those between `status` and the first score."""
    after = list(runs.columns)[2:]
    return [c for c in after if "/" not in c]


def differing(configs: Sequence[Any], path: str = "") -> list[dict[str, Any]]:
    """{dotted path: value} of what differs; where a `_target_` does, its file's name stands for all beneath it.

    A modality (streams by name) that differs in its streams is named by them, joined by +.
    """
    if all(c == configs[0] for c in configs):
        return [{} for _ in configs]
    nodes = [c for c in configs if isinstance(c, dict)]
    targets = [_file(c) for c in configs]
    if len(nodes) < len(configs) or len(set(targets)) > 1:
        values = [t or _short(c) for t, c in zip(targets, configs, strict=True)]
        return [{path.removesuffix(".fn"): v} for v in values]
    if path == "modality":
        return [{path: "+".join(c)} for c in configs]
    keys = dict.fromkeys(k for c in configs for k in c)
    found: list[dict[str, Any]] = [{} for _ in configs]
    for key in keys:
        parts = differing([c.get(key) for c in configs], f"{path}.{key}".lstrip("."))
        for row, part in zip(found, parts, strict=True):
            row.update(part)
    return found


def _file(config: Any) -> str:
    target = config.get("_target_") if isinstance(config, dict) else None
    return str(target).split(".")[-2] if target and "." in str(target) else ""


def _short(value: Any) -> Any:
    return "+".join(value) if isinstance(value, dict) else str(value) if isinstance(value, list) else value
