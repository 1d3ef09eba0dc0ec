"""The one way in which files of a run directory are read: anyone may have made it.

A file is opened without waiting for a writer, looked at once open, and must be a regular one below its own directory and of
no more bytes than its kind ever has. What it holds is parsed as plain data: no tags, no aliases, no number of many digits.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, cast

import yaml

from multimodal_lab.files import DEEPEST, parse_json, retried

MOST_YAML = 1 << 22  # bytes: a config has some 10,000
MOST_PARTS = 200_000  # keys, values and lists of it
MOST_JSON = 1 << 28  # of a record with the ids of ten million samples
MOST_LOG = 1 << 30
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's has the same grammar and is much faster
PLAIN = (str, int, float, bool, type(None))


def open_file(path: Path, most: int | None = None) -> BinaryIO:
    """A regular file, open to read bytes; `OSError` where it is none, has more than `most` bytes or leads elsewhere."""
    place = _in_place(path)
    _require_regular(os.lstat(place), most)  # opening a device may do something by itself
    # what was put there since: without O_NONBLOCK a pipe would be waited for, with O_NOFOLLOW a link is an error
    handle = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _require_regular(os.fstat(handle), most)
    except OSError:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def _require_regular(found: os.stat_result, most: int | None) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(
            f"expected a file, found {'a directory' if stat.S_ISDIR(found.st_mode) else 'a pipe or a device'}"
        )
    if most is not None and found.st_size > most:
        raise OSError(f"{found.st_size:,} bytes, expected at most {most:,}")


def require_inside(folder: Path, paths: Iterable[Path]) -> None:
    """`OSError` for a folder or file among `paths` that is a link out of the run directory `folder`."""
    for path in paths:
        _in_place(path, folder)


def read_bytes(path: Path, most: int = MOST_JSON) -> bytes:
    """The content of a file; `OSError` as `open_file`."""

    def read() -> bytes:
        with open_file(path, most) as file:
            return file.read()

    return retried(read)


def read_json(path: Path, most: int = MOST_JSON) -> Any:
    """The content of a JSON file; `ValueError` where it is none, is nested deeply or has numbers of many digits."""
    return parse_json(read_bytes(path, most))


def read_yaml(path: Path) -> Any:
    """The content of a YAML file; see `parse_yaml`."""
    return parse_yaml(read_bytes(path, MOST_YAML).decode())


def parse_yaml(text: str) -> Any:
    """Plain mappings, lists and values; `ValueError` for no YAML, tags, aliases, depth, or what is no plain value."""
    try:
        _require_simple(text)
        found = yaml.load(text, Loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())[:200]) from error
    _require_plain(found)
    return found


def _require_simple(text: str) -> None:
    """Before anything is built: no tags, no depth, and no aliases that grow to more parts than a config has."""
    sizes: dict[str, int] = {}  # of what each anchor stands for, its own aliases written out
    open_: list[tuple[str | None, int]] = [(None, 0)]
    for event in yaml.parse(text, Loader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        tag = getattr(event, "tag", None)
        if tag is not None and tag != "!":  # a quoted word has this one
            raise ValueError(f"line {line} has the tag {str(tag)[:80]}; expected plain values")
        if isinstance(event, yaml.CollectionStartEvent):
            open_.append((event.anchor, 1))
            if len(open_) > DEEPEST:
                raise ValueError(f"nested more than {DEEPEST} deep")
        elif isinstance(event, yaml.CollectionEndEvent | yaml.ScalarEvent | yaml.AliasEvent):
            anchor, size = open_.pop() if isinstance(event, yaml.CollectionEndEvent) else (event.anchor, 1)
            if isinstance(event, yaml.AliasEvent):
                size = sizes.get(str(event.anchor), MOST_PARTS)  # of itself, where it isn't known yet
            elif anchor is not None:
                sizes[anchor] = size
            around, before = open_.pop()
            open_.append((around, before + size))
            if before + size > MOST_PARTS:
                raise ValueError(f"line {line}: more than {MOST_PARTS:,} parts, aliases written out")


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    try:
        with open_file(path) as file:
            return hashlib.file_digest(cast(Any, file), "sha256").hexdigest()
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise
        raise OSError(f"{path.name}: {error}") from None


def _in_place(path: Path, folder: Path | None = None) -> Path:
    """The path without links; `OSError` where it leads out of `folder`, by default the one it stands in."""
    if not path.is_symlink():
        return path
    found, home = path.resolve(), (folder or path.parent).resolve()
    if not found.is_relative_to(home):
        raise OSError(f"{path.name}: a link to {found}, outside of {home}; copy it there")
    return found


def _require_plain(value: Any) -> None:
    if isinstance(value, dict):
        for key, below in value.items():
            if not isinstance(key, PLAIN):
                raise ValueError(f"expected plain keys, found {type(key).__name__}")
            _require_plain(below)
    elif isinstance(value, list):
        for below in value:
            _require_plain(below)
    elif not isinstance(value, PLAIN) or (isinstance(value, int) and abs(value) >= 1 << 64):
        raise ValueError(f"expected plain values, found a {type(value).__name__}: {str(value)[:80]}")
