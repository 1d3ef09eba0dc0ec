"""Read what a run has written of itself, in today's layout or in the one before: its config and its data record."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from multimodal_lab.files import write_json
from multimodal_lab.runs import record_form
from multimodal_lab.runs.aliases import LAYOUT, rename_values, renamed_target, upgrade_config, upgrade_record
from multimodal_lab.runs.directory import CHECKPOINTS, CONFIG
from multimodal_lab.runs.guarded import open_file, read_json, read_yaml, require_inside

DATA, JOB, BATCH = "data.json", "job.json", "batch.json"  # the last in a directory of a kept step
JOBS = "MULTIMODAL_LAB_JOBS"  # the environment variable that tells a job of how many it is one
LAYOUT_FIRST = re.compile(rb'\s*\{\s*"layout"\s*:\s*([^\s,}]+)')
HEAD = 200  # bytes
OF_CONFIG = ("data", "modality", "system", "train")  # what the config, and the record, of any run have
OF_DATA = ("choices", "splits", "streams")


class LayoutError(ValueError):
    """A run directory that can't be read: which, what was found, what was expected."""


def read_config(folder: Path) -> dict[str, Any]:
    """The resolved config of the run in `folder` under today's names; `LayoutError` where it can't be read as one."""
    try:
        found = read_yaml(folder / CONFIG)
    except (OSError, ValueError) as error:
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
        if record_form.fits(found["overrides"], list[str]) and record_form.fits(found["of"], int):
            return {"overrides": found["overrides"], "of": found["of"]}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return {"overrides": [], "of": 0}


def read_batch(folder: Path) -> Any:
    """The facts of the step kept in `folder`; `OSError` or `ValueError` where they can't be read."""
    return read_json(folder / BATCH)


def write_batch(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the facts of a kept step."""
    write_json(folder / BATCH, facts)


def require_readable(folder: Path) -> None:
    """Refuse, before anything heavy is imported, a run whose config and record this version can't read; `LayoutError`."""
    try:
        steps = folder.glob(f"{CHECKPOINTS}/*")
        require_inside(folder, (folder / CHECKPOINTS, folder / "embeddings", *steps))
    except OSError as error:
        raise LayoutError(f"{folder}: can't be read ({error})") from error
    record, config = read_record(folder), read_config(folder)
    for file, found, keys in ((CONFIG, config, OF_CONFIG), (DATA, record, OF_DATA)):
        if missing := [key for key in keys if not isinstance(found.get(key), dict)]:
            raise LayoutError(f"{folder / file}: expected the mapping {missing[0]} in it; is {folder} a run directory?")
    for file, names in ((CONFIG, config["modality"]), (DATA, record["streams"])):
        for name in names:  # they name files
            if not str(name).isidentifier():
                raise LayoutError(f"{folder / file}: a stream is called {name!r}; expected letters, digits and _")
    for file, wrong in ((CONFIG, _unlike_config(config)), (DATA, _unlike_record(record))):
        if wrong:
            raise LayoutError(f"{folder / file}: not as a run writes it: {wrong}")


def _unlike_config(config: Mapping[str, Any]) -> str:
    """What of a config has another form than that of any run, "" for nothing."""
    if not isinstance(config["data"].get("source", {}), dict):
        return "data.source is no mapping"
    return next((f"modality.{k} is no mapping" for k, v in config["modality"].items() if not isinstance(v, dict)), "")


def _unlike_record(record: Mapping[str, Any]) -> str:
    """The same of a record."""
    for name, own in record["streams"].items():
        bands = [b for key in ("stored", "bands") for b in own.get(key, ())] if _is_stream(own) else [None]
        if not all(isinstance(b, list) and b and isinstance(b[0], str) for b in bands):
            return f"stream {name!r} has no kind, or no bands by their names"
    for name, ids in record["splits"].items():
        if not isinstance(ids, list) or not all(isinstance(i, str) for i in ids):
            return f"split {name!r} is no list of ids"
    return record_form.unlike(record)


def _is_stream(own: Any) -> bool:
    lists = isinstance(own, dict) and all(isinstance(own.get(key, []), list) for key in ("stored", "bands"))
    return lists and isinstance(own.get("kind"), str)


def require_known_layout(folder: Path) -> None:
    """Refuse a run of another layout, `LayoutError`; one without a record passes.

    The layout stands first in a record, whose head alone is read: a study has hundreds.
    """
    if (folder / DATA).is_file():
        try:
            with open_file(folder / DATA) as file:
                found = LAYOUT_FIRST.match(file.read(HEAD))
        except OSError as error:
            raise LayoutError(f"{folder / DATA}: can't be read ({error})") from error
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
