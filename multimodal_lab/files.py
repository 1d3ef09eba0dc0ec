"""Atomic file writes (temporary file, fsync, rename), reads tried again, strict JSON, the hash of a file or a JSON value."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

BESIDE = "*.part"  # what a kill may leave
WORDS = 16_384  # of a JSON value that are one text: half a million names as one take 200 MB
WAITS = (0.1, 0.5, 2.0)  # seconds before a failed read is tried again
# An `OSError` that tells of the file itself: it is not there, is no file, or its content led the reader astray (PIL and
# HDF5 say so without a number). Any other tells of the disk, the network or a right: the file may be whole.
OF_THE_FILE = {
    None, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.EOVERFLOW,
    errno.ENXIO,
}  # fmt: skip
FOR_GOOD = {errno.EACCES, errno.EPERM}  # waiting grants no right
T = TypeVar("T")


@contextmanager
def atomic_file(path: Path) -> Iterator[Any]:
    """A binary file to write to, in place when the block ends well: of concurrent writers one wins, never a mixture."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def atomic_write(path: Path, fill: Callable[[Any], object]) -> None:
    """`fill` writes the file, atomically."""
    with atomic_file(path) as file:
        fill(file)


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes atomically."""
    atomic_write(path, lambda file: file.write(content))


def write_text(path: Path, content: str) -> None:
    """Write a text atomically, in UTF-8."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any, **options: Any) -> None:
    """Write a JSON value atomically, a piece at a time; options are those of `as_json`."""
    words = _encoder(**{"indent": 1, **options}).iterencode(finite(content))
    with atomic_file(path) as file:
        while piece := "".join(islice(words, WORDS)):
            file.write(piece.encode())


def as_json(content: Any, *, default: Callable[[Any], Any] | None = None, **options: Any) -> str:
    """`content` as strict JSON; options are those of `json.dumps`. A number that is not finite is null.

    Not for digests: NaN, infinity and None would have one.
    """
    return _encoder(default, **options).encode(finite(content))


def _encoder(default: Callable[[Any], Any] | None = None, **options: Any) -> json.JSONEncoder:
    convert = None if default is None else lambda x: finite(default(x))
    return json.JSONEncoder(allow_nan=False, default=convert, **options)


def finite(content: Any) -> Any:
    """`content` with None for every float that is not finite, at any depth."""
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {k: finite(v) for k, v in content.items()}
    return [finite(v) for v in content] if isinstance(content, list | tuple) else content


DEEPEST = 64  # far below what Python's own recursion bears
WIDEST = 200_000  # a level
DIGITS = 100  # of a whole number: one of 309 overflows where it becomes a float


def read_json(path: Path) -> Any:
    """The content of a JSON file; `OSError` if it cannot be read, `ValueError` if it is no JSON or nested too deeply."""
    return parse_json(read_bytes(path))


def parse_json(text: bytes | str) -> Any:
    """A JSON value; `ValueError` for no JSON, one nested too deeply, or with a whole number of many digits."""
    try:
        found = json.loads(text, parse_int=_whole)
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} deep") from None
    require_shallow(found)
    return found


def _whole(word: str) -> int:
    if len(word) > DIGITS:
        raise ValueError(f"a number of {len(word):,} digits")
    return int(word)


def read_bytes(path: Path) -> bytes:
    """The content of a regular file; `OSError` for any other: a pipe would be waited for without end."""
    require_regular(path)
    return retried(path.read_bytes)


def require_regular(path: Path) -> None:
    """`OSError` for what is there and is no regular file."""
    if path.exists() and not path.is_file():
        raise OSError(f"expected a file, found {'a directory' if path.is_dir() else 'a pipe or a device'}")


def read_failure(error: BaseException | None) -> OSError | None:
    """The error of a disk, a network or a right behind `error`; None where it tells of the file, which may be damaged."""
    while error is not None:
        late = isinstance(error, TimeoutError | ConnectionError)
        if isinstance(error, OSError) and (late or error.errno not in OF_THE_FILE):
            return error
        error = error.__cause__
    return None


def retried(read: Callable[[], T]) -> T:
    """What `read` gives, tried again after a short wait where a disk or a network failed it; its last error is raised."""
    for wait in WAITS:
        try:
            return read()
        except Exception as error:
            failure = read_failure(error)
            if failure is None or failure.errno in FOR_GOOD:
                raise
        time.sleep(wait)
    return read()


def require_shallow(content: Any) -> None:
    """`ValueError` for what is nested too deeply, or, by references to itself, grows without bound."""
    level = [content]
    for _ in range(DEEPEST):
        level = [v for node in level for v in _inside(node) if isinstance(v, dict | list)]
        if len(level) > WIDEST:
            raise ValueError(f"more than {WIDEST} lists and mappings at one depth")
    if level:
        raise ValueError(f"nested more than {DEEPEST} deep")


def _inside(node: Any) -> Any:
    return node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()


def require_name(name: str) -> str:
    """The name of a file to be written, if it is one: no path, not hidden, no control characters; else `ValueError`."""
    if not name or name.startswith(".") or {*"/\\"} & {*name} or not name.isprintable():
        raise ValueError(f"{name!r} names a file: expected a plain name, no path")
    return name


def named(text: str) -> str:
    """A name for the file of something that may be called anything, such as a label; distinct texts have distinct ones."""
    plain = re.sub(r"[^\w.@+-]", "_", text).lstrip(".")[:100] or "_"
    return plain if plain == text else f"{plain}_{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:8]}"


def user_cache() -> Path:
    """`multimodal_lab` in the user's cache; below `/dev/null`, where nothing is kept, for a user without a home."""
    home = os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return Path(os.devnull if home.startswith("~") else home) / "multimodal_lab"


def file_hash(path: Path) -> str:
    """SHA-256 of a regular file, in hex."""
    try:
        require_regular(path)
    except OSError as error:
        raise OSError(f"{path.name}: {error}") from None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tokenizer_digest(text: str) -> str:
    """A hash of a tokenizer's JSON text as the package tokenizers writes it; how it cuts and pads is no part of it."""
    return json_hash({k: v for k, v in json.loads(text).items() if k not in ("padding", "truncation")})


def json_hash(value: Any) -> str:
    """SHA-256 of a JSON value, in hex; the order of keys does not count."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
