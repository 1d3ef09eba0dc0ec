"""Content fingerprint of a data set, equal on every machine that holds the same files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from multimodal_lab.data.source import Source

WHOLE = 1 << 20
ENDS = 1 << 16


def fingerprint(source: Source, root: str | None) -> str:
    """SHA-256 over the sample table, bands, `identity` or `card` of the source, and each file of column `path`
    and of the source's columns of `images`, if it has such.

    Of a file: its size and content, up to 1 MiB whole, beyond that the first and last 64 KiB. Paths count relative to
    `root`, modification times not at all. A source that knows its `fingerprint` (a packed one) has that of what it was
    made from.
    """
    own = getattr(source, "fingerprint", None)
    if isinstance(own, str):
        return own
    digest = hashlib.sha256()
    facts = [repr(getattr(source, "identity", None)), repr(getattr(source, "card", None)), repr(source.bands)]
    digest.update("\n".join(facts).encode())
    base = Path(root).expanduser().resolve() if root else None
    seen: set[str] = set()
    columns = ("path", *getattr(source, "images", ()))
    for record in source.samples.to_dict("records"):
        paths = [path for column in columns if isinstance(path := record.get(column), str)]
        if isinstance(record.get("path"), str):
            record["path"] = _relative(record["path"], base)
        digest.update(json.dumps(record, sort_keys=True, default=_plain).encode())
        for path in paths:
            if path not in seen:
                seen.add(path)
                _add_file(digest, path, base)
    return digest.hexdigest()


def _relative(path: str, base: Path | None) -> str:
    place = Path(path)
    if not place.is_absolute():
        return place.as_posix()
    return place.relative_to(base).as_posix() if base and place.is_relative_to(base) else place.name


def _add_file(digest: Any, path: str, base: Path | None) -> None:
    place = Path(path) if base is None else base / path
    if not place.is_file():
        return
    size = place.stat().st_size
    digest.update(str(size).encode())
    with place.open("rb") as file:
        if size <= WHOLE:
            digest.update(file.read())
            return
        digest.update(file.read(ENDS))
        file.seek(-ENDS, 2)
        digest.update(file.read())


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
