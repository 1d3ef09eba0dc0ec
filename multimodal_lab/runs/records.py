"""Read what a run has written of itself, in today's layout or in the one before: its config and its data record."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from multimodal_lab.files import read_bytes, read_json, require_shallow, write_json
from multimodal_lab.runs.aliases import LAYOUT, rename_values, renamed_target, upgrade_config, upgrade_record
from multimodal_lab.runs.directory import CONFIG

DATA, JOB, BATCH = "data.json", "job.json", "batch.json"  # the last in a directory of a kept step
JOBS = "MULTIMODAL_LAB_JOBS"  # the environment variable that tells a job of how many it is one
LAYOUT_FIRST = re.compile(rb'\s*\{\s*"layout"\s*:\s*([^\s,}]+)')
HEAD = 200  # bytes
OF_CONFIG = ("data", "modality", "system", "train")  # what the config, and the record, of any run have
OF_DATA = ("choices", "splits", "streams")
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's has the same grammar and is much faster


class LayoutError(ValueError):
    """A run directory that can't be read: which, what was found, what was expected."""


def read_config(folder: Path) -> dict[str, Any]:
    """The resolved config of the run in `folder` under today's names; `LayoutError` where it can't be read as one."""
    try:
        found = yaml.load(read_bytes(folder / CONFIG).decode(), Loader)
        require_shallow(found)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise LayoutError(f"{folder / CONFIG}: can't be read ({' '.join(str(error).split())[:200]})") from error
    if not isinstance(found, dict):
        what = "nothing" if found is None else type(found).__name__
        raise LayoutError(f"{folder / CONFIG}: expected the keys of a config, found {what}")
    return rename_values(upgrade_config(found) if _is_previous(folder, found) else found)


def read_record(folder: Path) -> dict[str, Any]:
    """The data record of the run in `folder` under today's names; `LayoutError` where it can't be read as one."""
    found = _record(folder)
    return found if "layout" in found else upgrade_record(found)


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the data record of a run, with the number of today's layout."""
    write_json(folder / DATA, {"layout": LAYOUT, **record})


def write_job(folder: Path, overrides: Sequence[str], of: int) -> None:
    """Write what was typed or swept for a run, and of how many jobs it is one; 0 is not known."""
    write_json(folder / JOB, {"overrides": list(overrides), "of": of})


def read_job(folder: Path) -> dict[str, Any]:
    """The same; nothing where it can't be read, as it only tells what tables call a run."""
    try:
        found = read_json(folder / JOB)
        return {"overrides": [str(line) for line in found["overrides"]], "of": int(found["of"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"overrides": [], "of": 0}


def read_batch(folder: Path) -> Any:
    """The facts of the step kept in `folder`; `OSError` or `ValueError` where they can't be read."""
    return read_json(folder / BATCH)


def write_batch(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the facts of a kept step."""
    write_json(folder / BATCH, facts)


def require_readable(folder: Path) -> None:
    """Refuse, before anything heavy is imported, a run whose config and record this version can't read; `LayoutError`."""
    record, config = read_record(folder), read_config(folder)
    for file, found, keys in ((CONFIG, config, OF_CONFIG), (DATA, record, OF_DATA)):
        if missing := [key for key in keys if not isinstance(found.get(key), dict)]:
            raise LayoutError(f"{folder / file}: expected the mapping {missing[0]} in it; is {folder} a run directory?")


def require_known_layout(folder: Path) -> None:
    """Refuse a run of another layout, `LayoutError`; one without a record passes.

    The layout stands first in a record, whose head alone is read: a study has hundreds.
    """
    if (folder / DATA).is_file():
        with (folder / DATA).open("rb") as file:
            found = LAYOUT_FIRST.match(file.read(HEAD))
        if found and found[1] != str(LAYOUT).encode():
            raise _other(folder / DATA, found[1].decode(errors="replace"))


def is_previous(folder: Path) -> bool:
    """Whether the run in `folder` has the layout before this one."""
    return "layout" not in _record(folder)


def _is_previous(folder: Path, config: dict[str, Any]) -> bool:
    """The same, also where a run ended before it wrote a record: then an old name tells."""
    return is_previous(folder) if (folder / DATA).is_file() else _old_name(config)


def _old_name(node: Any) -> bool:
    if isinstance(node, dict):
        return any(_old_name(v) or (k == "_target_" and bool(renamed_target(str(v)))) for k, v in node.items())
    return isinstance(node, list) and any(map(_old_name, node))


def _record(folder: Path) -> dict[str, Any]:
    """The record as it stands; without a number it is of the layout before."""
    path = folder / DATA
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        raise LayoutError(f"{path}: can't be read ({error})") from error
    if not isinstance(found, dict) or not isinstance(found.get("streams"), dict):
        raise LayoutError(f"{path}: expected the record of a run with its streams; is {folder} a run directory?")
    if found.get("layout", LAYOUT) != LAYOUT:
        raise _other(path, repr(found["layout"]))
    return found


def _other(path: Path, layout: str) -> LayoutError:
    return LayoutError(
        f"{path}: layout {layout}; this version reads layout {LAYOUT} and the one before it, which has no number. "
        "Read the directory with the version that wrote it (provenance in its summary.json)"
    )
