"""Content fingerprint of a data set, equal on every machine that holds the same files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from multimodal_lab.data.readers.file_hashes import content_hashes
from multimodal_lab.data.source import Source

# What counts, and how: marks of two layouts say nothing of each other. The first saw of large files the two ends alone.
LAYOUT = "2"


def fingerprint(source: Source, root: str | None) -> str:
    """`LAYOUT:` and the SHA-256 over the sample table, bands, `identity` or `card` of the source, and each file of column
    `path` and of the source's columns of `images`, if it has such: its size and every byte.

    Paths count relative to `root`, modification times not at all. A source that knows its `fingerprint` (a packed one)
    has that of what it was made from.
    """
    own = getattr(source, "fingerprint", None)
    if isinstance(own, str):
        return own
    digest = hashlib.sha256()
    facts = [repr(getattr(source, "identity", None)), repr(getattr(source, "card", None)), repr(source.bands)]
    digest.update("\n".join(facts).encode())
    base = Path(root).expanduser().resolve() if root else None
    columns = ("path", *getattr(source, "images", ()))
    records = source.samples.to_dict("records")
    paths = dict.fromkeys(path for r in records for column in columns if isinstance(path := r.get(column), str))
    for record in records:
        if isinstance(record.get("path"), str):
            record["path"] = _relative(record["path"], base)
        digest.update(json.dumps(record, sort_keys=True, default=_plain).encode())
    hashes = content_hashes(base or Path.cwd(), list(paths))
    for path in paths:
        digest.update(f"\n{hashes.get(path, '')}".encode())
    return f"{LAYOUT}:{digest.hexdigest()}"


def _relative(path: str, base: Path | None) -> str:
    place = Path(path)
    if not place.is_absolute():
        return place.as_posix()
    return place.relative_to(base).as_posix() if base and place.is_relative_to(base) else place.name


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
