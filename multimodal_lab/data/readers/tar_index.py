"""The index of a tar of samples: where each member lies, made once and remembered, so that samples are read at random."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from multimodal_lab import files
from multimodal_lab.data.readers.delimited import decode
from multimodal_lab.data.readers.folder import readable
from multimodal_lab.data.source import DataError

SUFFIX, FORMAT, VERSION = ".index.jsonl", "multimodal_lab index of a tar", 1
TEXTS = ("txt", "json", "cls")  # members whose content the index holds
SMALL = 1 << 20  # bytes: of such a member, and of a header (a long name, pax records)
COMPRESSED = {b"\x1f\x8b": "gunzip", b"BZh": "bunzip2", b"\xfd7zXZ": "unxz", b"\x28\xb5\x2f\xfd": "unzstd"}
Sample = dict[str, Any]
"""key: the name up to its first dot. members: {rest of the name: [offset, bytes]}. text: {rest: content} of `TEXTS`."""


def load(tar: Path, name: str, command: str, make: bool = False) -> list[Sample]:
    """The samples of a tar by its index; without one, or with one of another file, a `DataError` tells the command.

    make: then index it now, and remember that beside the tar, or, where nothing can be written, in the user's cache.
    """
    own, other = tar.with_name(tar.name + SUFFIX), _cached(tar)
    place = own if own.is_file() else other if other.is_file() else None
    head, samples = _read(place) if place else ({}, [])
    state = _state(tar)
    if place is None or head != {"format": FORMAT, "version": VERSION, **state}:
        if make:
            return write(tar, name)[0]
        said = "its index is of another file, by size or time" if place else f"no index ({own.name})"
        raise DataError(f"{name}: {said}; {command} makes it")
    with readable(f"{place}", "index of a tar"):
        for sample in samples:
            inside = all(
                at >= 0 and size >= 0 and at + size <= state["size"] for at, size in sample["members"].values()
            )
            if not inside or not isinstance(sample["key"], str) or not _told(sample):
                raise DataError(f"{place}: {sample['key']!r} is not of {name}; {command} makes it anew")
    return samples


def _told(sample: Sample) -> bool:
    """Whether an index says what the texts of a sample hold, as `scan` finds it."""
    texts: Any = sample["text"]
    words = [rest for rest in sample["members"] if rest.rpartition(".")[2] in TEXTS]
    sorts = {rest: dict if rest.rpartition(".")[2] == "json" else str for rest in words}
    return isinstance(texts, dict) and all(isinstance(texts.get(rest), sort) for rest, sort in sorts.items())


def write(tar: Path, name: str) -> tuple[list[Sample], Path]:
    """Index a tar, and write the index beside it, or in the user's cache where that can't be; gives samples and place."""
    state = _state(tar)
    samples = scan(tar, name)
    lines = [{"format": FORMAT, "version": VERSION, **state}, *samples]
    made = "".join(f"{json.dumps(line)}\n" for line in lines)
    place = tar.with_name(tar.name + SUFFIX)
    try:
        files.write_text(place, made)
    except OSError:
        place = _cached(tar)
        place.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(place, made)
    return samples, place


def scan(tar: Path, name: str) -> list[Sample]:
    """The samples of a tar, in order: members that stand together and have one key.

    Links, devices, sparse members and names that leave the folder are a `DataError`: none is followed or written, but a
    set that has them is not what it seems. Directories, and names that begin with a dot or `__`, are passed over.
    """
    samples: dict[str, Sample] = {}
    last = ""
    with tar.open("rb") as file, readable(name, "tar"):
        for member in _members(file, name, tar.stat().st_size):
            path = PurePosixPath(member.name)
            if member.isdir() or any(part.startswith((".", "__")) for part in path.parts):
                continue
            stem, dot, rest = path.name.partition(".")
            if not dot or not rest:
                continue
            key, rest = path.with_name(stem).as_posix(), rest.lower()
            if key in samples and key != last:
                raise DataError(f"{name}: members of {key!r} stand in two places, expected them one after another")
            last = key
            sample = samples.setdefault(key, {"key": key, "members": {}, "text": {}})
            if rest in sample["members"]:
                raise DataError(f"{name}: {member.name!r} stands twice")
            sample["members"][rest] = [member.offset_data, member.size]
            if rest.rpartition(".")[2] in TEXTS:
                sample["text"][rest] = _text(file, member, name)
    return list(samples.values())


class _Headers(io.RawIOBase):
    """A file of which only headers are read: one that claims more than `SMALL` is refused before it takes memory."""

    def __init__(self, file: Any, name: str) -> None:
        self.file, self.name = file, name

    def read(self, size: int = -1) -> bytes:
        """At most `SMALL` bytes."""
        if not 0 <= size <= SMALL:
            raise DataError(f"{self.name}: a header of {size:,} bytes, the limit is {SMALL:,}")
        return bytes(self.file.read(size))

    def seek(self, offset: int, whence: int = 0) -> int:
        """To a place of the file."""
        return int(self.file.seek(offset, whence))

    def tell(self) -> int:
        """The place."""
        return int(self.file.tell())


def _members(file: Any, name: str, size: int) -> Iterator[tarfile.TarInfo]:
    """The members one by one, refused where they are no plain files or directories inside the tar."""
    start = file.read(6)
    for magic, cure in COMPRESSED.items():
        if start.startswith(magic):
            raise DataError(f"{name}: compressed, so that no sample can be read by itself; {cure} it first")
    file.seek(0)
    before = -1
    with tarfile.open(fileobj=_Headers(file, name), mode="r:") as tar:  # type: ignore[call-overload]
        for member in tar:
            told = f"{name}: {member.name!r}"
            if member.offset <= before or member.size < 0:
                raise DataError(f"{told}: its header leads back, so that the tar has no end")
            before = member.offset
            if member.issparse() or not (member.isreg() or member.isdir()):
                kind = (
                    "sparse"
                    if member.issparse()
                    else "a link"
                    if member.islnk() or member.issym()
                    else "a device or pipe"
                )
                raise DataError(f"{told} is {kind}, expected plain files")
            if member.name.startswith("/") or ".." in PurePosixPath(member.name).parts or not member.name.isprintable():
                raise DataError(f"{told}: a name that leaves the folder or can't be printed")
            if member.offset_data + member.size > size:
                raise DataError(f"{told}: {member.size:,} bytes, but the tar is cut short at {size:,}")
            at = file.tell()
            yield member
            file.seek(at)
            tar.members = []  # type: ignore[attr-defined]  # else every header stays in memory


def _text(file: Any, member: tarfile.TarInfo, name: str) -> Any:
    """What a member of text says: JSON as it is, else text."""
    told = f"{name}: {member.name}"
    if member.size > SMALL:
        raise DataError(f"{told}: a text of {member.size:,} bytes, the limit is {SMALL:,}")
    file.seek(member.offset_data)
    text = decode(file.read(member.size))[0].strip()
    if not member.name.lower().endswith(".json"):
        return text
    try:
        found = json.loads(text)
        files.require_shallow(found)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{told}: not JSON: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"{told}: a JSON {type(found).__name__}, expected an object")
    return found


def _read(place: Path) -> tuple[Any, list[Sample]]:
    """The first line of an index, which says what it is of, and a line a sample."""
    with readable(str(place), "index of a tar"):
        head, *lines = files.read_bytes(place).splitlines()
        return json.loads(head), [json.loads(line) for line in lines]


def _state(tar: Path) -> dict[str, int]:
    facts = tar.stat()
    return {"size": facts.st_size, "mtime_ns": facts.st_mtime_ns}


def _cached(tar: Path) -> Path:
    return files.user_cache() / "tars" / f"{hashlib.sha256(os.fsencode(tar)).hexdigest()[:32]}.json"
