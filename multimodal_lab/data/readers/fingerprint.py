"""Content fingerprint of a data set, equal on every machine that holds the same files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from multimodal_lab.data.readers.file_hashes import content_hashes, sizes_and_times
from multimodal_lab.data.source import Source
from multimodal_lab.data.split import spatial

# What counts, and how: marks of two layouts say nothing of each other. The first saw of large files the two ends alone.
LAYOUT, QUICK = "2", "quick"
ROWS = 10_000  # of the table that are Python objects at once
How = Literal["full", "quick"]


def fingerprint(source: Source, root: str | None, how: How = "full") -> str:
    """`LAYOUT:` and the SHA-256 over the sample table, bands, `identity` or `card` of the source, and each file of column
    `path`, of the source's columns of `images` and of its `stored_files`, if it has such: its size and every byte.

    Paths count relative to `root`, modification times not at all. With `quick`, `quick:` stands before it, and of a file its
    size and the time of its last change count, not what it holds. A source that knows its `fingerprint` (a packed one) has
    that of what it was made from; one made of `members` has theirs, each of its own folder, and its own `identity`.
    """
    return marked(source, root, how)[0]


def marked(source: Source, root: str | None, how: How = "full") -> tuple[str, bool]:
    """The same, and whether it tells of every value of the data: what can't be seen of files may change unseen."""
    own = getattr(source, "fingerprint", None)
    if isinstance(own, str):
        return own, True
    digest = hashlib.sha256()
    facts = [repr(getattr(source, "identity", None)), repr(getattr(source, "card", None)), repr(source.bands)]
    digest.update("\n".join(facts).encode())
    mark = {"full": LAYOUT, "quick": QUICK}[how]
    if parts := getattr(source, "members", None):
        found = {name: marked(member.source, member.root, how) for name, member in parts.items()}
        digest.update("\n".join(f"{name} {own}" for name, (own, _) in found.items()).encode())
        return f"{mark}:{digest.hexdigest()}", all(whole for _, whole in found.values())
    base = Path(root).expanduser().resolve() if root else None
    columns = ("path", *getattr(source, "images", ()))
    paths: dict[str, None] = {}
    for first in range(0, len(source.samples), ROWS):
        for record in source.samples.iloc[first : first + ROWS].to_dict("records"):
            paths.update((path, None) for column in columns if isinstance(path := record.get(column), str))
            if isinstance(record.get("path"), str):
                record["path"] = _relative(record["path"], base)
            record.pop(spatial.COLUMN, None)  # a choice of the split
            digest.update(json.dumps(record, sort_keys=True, default=_plain).encode())
    paths.update(dict.fromkeys(getattr(source, "stored_files", ())))
    known = {"full": content_hashes, "quick": sizes_and_times}[how](base or Path.cwd(), list(paths))
    for path in paths:
        digest.update(f"\n{known.get(path, '')}".encode())
    return f"{mark}:{digest.hexdigest()}", bool(paths) and known.keys() == paths.keys()


def _relative(path: str, base: Path | None) -> str:
    place = Path(path)
    if not place.is_absolute():
        return place.as_posix()
    return place.relative_to(base).as_posix() if base and place.is_relative_to(base) else place.name


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
