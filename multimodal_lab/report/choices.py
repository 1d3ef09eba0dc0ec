"""What differs between the runs of a sweep: the choices and values that were typed or swept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from multimodal_lab.runs.records import LayoutError, read_config, read_job

_PREFIX = "choices/"
_NOT_CHOSEN = ("dir", "name", "resume", "system")  # `system` repeats the groups it is wired from


def of(folders: Sequence[Path], summaries: Sequence[Mapping[str, Any] | None]) -> list[dict[str, Any]]:
    """For each run {what was chosen: its value}, only what differs between runs, and its `seed`.

    Read from the overrides of each job; where no run has kept any, from what differs in `config.yaml`, the keys below a group
    named by its choice, `choices/<group>` of the summaries.
    """
    configs = [_config(folder) for folder in folders]
    typed = [_typed(folder) for folder in folders]
    if any(typed):
        keys = dict.fromkeys(k for row in typed for k in row)
        rows = [{k: row.get(k, _at(c, k)) for k in keys} for row, c in zip(typed, configs, strict=True)]
    else:
        rows = _of_configs(configs, summaries)
    rows = [{k: v for k, v in row.items() if len({str(r.get(k)) for r in rows}) > 1} for row in rows]
    return [{**row, "seed": str(row.get("seed", c.get("seed", "")))} for row, c in zip(rows, configs, strict=True)]


def columns(runs: pd.DataFrame) -> list[str]:
    """The columns of `multirun.collect` that were chosen, less the seed."""
    return [str(c) for c in runs.attrs["chosen"]]


def _of_configs(
    configs: Sequence[dict[str, Any]], summaries: Sequence[Mapping[str, Any] | None]
) -> list[dict[str, Any]]:
    own = iter(differing([{k: v for k, v in c.items() if k not in _NOT_CHOSEN} for c in configs if c]))
    rows = [next(own) if c else {} for c in configs]
    if any(s is None for s in summaries):
        return rows
    groups = dict.fromkeys(k for s in summaries if s for k in s if k.startswith(_PREFIX))
    told = [g.removeprefix(_PREFIX) for g in groups if len({str((s or {}).get(g)) for s in summaries}) > 1]
    return [
        {g: str((s or {}).get(_PREFIX + g, "")) for g in told}
        | {k: v for k, v in row.items() if k.partition(".")[0] not in told}
        for s, row in zip(summaries, rows, strict=True)
    ]


def _config(folder: Path) -> dict[str, Any]:
    try:
        return read_config(folder)
    except LayoutError:  # a job that ended before it could write one
        return {}


def _typed(folder: Path) -> dict[str, str]:
    """{key: value as it was typed} of a job."""
    parts = [line.lstrip("+~").partition("=") for line in read_job(folder)["overrides"]]
    return {key: value for key, _, value in parts if key not in _NOT_CHOSEN}


def _at(config: Any, key: str) -> str:
    """What a config has at a dotted key, as it would be typed; "" where it has none."""
    for part in key.split("."):
        config = config.get(part) if isinstance(config, dict) else None
    return "" if config is None or isinstance(config, dict) else str(config)


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
        return [{path: "+".join(map(str, c))} for c in configs]
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
    return "+".join(map(str, value)) if isinstance(value, dict) else str(value) if isinstance(value, list) else value
