"""The manifest of a checkpoint: the hash of each of its files, and whether they are as they were written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from multimodal_lab.files import json_hash, parse_json, read_failure, retried
from multimodal_lab.runs.guarded import file_hash, read_bytes

MANIFEST = "manifest.json"
CORRUPT = ".corrupt"


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be written or read: the file and the reason."""


def manifest(name: str, files: Mapping[str, str]) -> bytes:
    """The manifest, its own digest in it."""
    content = {"checkpoint": name, "files": dict(files)}
    return json.dumps({**content, "sha256": json_hash(content)}, indent=1).encode()


def verify(folder: Path) -> str | None:
    """Why this checkpoint is invalid, or None; `CheckpointError` where the disk, tried again, does not let it be read."""
    try:
        return retried(lambda: _damage(folder))
    except OSError as error:
        where, why = error.filename or folder, error.strerror or error
        raise CheckpointError(
            f"{where}: can't be read ({why}); that is no damage, and nothing was set aside: try again once it can"
        ) from error


def _damage(folder: Path) -> str | None:
    """What differs from what was written; a failure to read is raised."""
    try:
        text = read_bytes(folder / MANIFEST)
        found = parse_json(text)
        # written anew and compared byte by byte: an added or reordered key is damage, too
        if text != manifest(found["checkpoint"], found["files"]):
            return f"{MANIFEST}: not as it was written"
        if found["checkpoint"] != folder.name.partition(CORRUPT)[0]:
            return f"{MANIFEST}: belongs to {found['checkpoint']}"
        listed, there = {*found["files"], MANIFEST}, {p.name for p in folder.iterdir()}
        for name in sorted(listed ^ there):
            return f"{name}: missing" if name in listed else f"{name}: not in {MANIFEST}"
        for name, digest in found["files"].items():
            if file_hash(folder / name) != digest:
                return f"{name}: hash differs from {MANIFEST}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if read_failure(error):
            raise
        return f"{MANIFEST}: {type(error).__name__}: {error}"
    return None
