"""Content-addressed cache entries on disk: written atomically, verified by hash before use."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import json
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from multimodal_lab import files
from multimodal_lab.checkpoint import safetensors_writer
from multimodal_lab.files import file_hash, json_hash, read_failure, retried
from multimodal_lab.runs.hashes import source_hash_of

FORMAT = 1
ENTRY, TENSORS = "entry.json", "tensors.safetensors"
# what may change a pixel or a feature: floor 1 imports nothing beside these, and `system` normalises
SOURCES = ("backbone", "data", "types.py", "build.py", "bounds.py", "files.py", "hashing.py", "system.py", "cache")
PACKAGES = ("torch", "timm", "numpy", "pillow")


class CacheError(RuntimeError):
    """A cache that cannot be used: the key, the folder, what to do."""


class CacheStore:
    """The folder of all entries, `root/KEY/`: `entry.json`, with the facts that the key is a hash of, and tensors beside it.

    Any number of processes may use one folder. What is damaged, half written or of other facts than its name says counts
    as absent: it is reported, and made again. root: None is `multimodal_lab` in the user's cache.
    """

    def __init__(self, root: str | None) -> None:
        self.root = Path(root).expanduser() if root else files.user_cache()

    def get(self, facts: Mapping[str, Any]) -> dict[str, Any] | None:
        """The JSON value kept under `facts`."""
        found = self._entry(facts)
        return None if found is None else found["value"]

    def put(self, facts: Mapping[str, Any], found: Mapping[str, Any]) -> None:
        """Keep a JSON value."""
        with self._writing(facts) as folder:
            self._seal(folder, facts, {"value": dict(found)})

    def get_tensors(self, facts: Mapping[str, Any]) -> dict[str, Tensor] | None:
        """The tensors kept under `facts`, memory-mapped."""
        found = self._entry(facts)
        return None if found is None else load_file(self.folder(facts) / TENSORS)

    def put_tensors(self, facts: Mapping[str, Any], found: Mapping[str, Tensor]) -> None:
        """Keep tensors."""
        with self._writing(facts) as folder:
            digests: list[str] = []
            files.atomic_write(folder / TENSORS, lambda file: digests.append(safetensors_writer.pour(file, found)))
            self._seal(folder, facts, {"sha256": digests[0]})

    def folder(self, facts: Mapping[str, Any]) -> Path:
        """Where the entry of these facts is, or will be."""
        return self.root / key(facts)

    @contextlib.contextmanager
    def alone(self, facts: Mapping[str, Any]) -> Iterator[None]:
        """Lock an entry on this machine, so that one process at a time makes it; the lock of a dead process is released."""
        with self._writing(facts) as folder:
            held = os.open(folder, os.O_RDONLY)
            try:
                with contextlib.suppress(OSError):  # a file system without such locks: then two may make the same
                    fcntl.flock(held, fcntl.LOCK_EX)
                yield
            finally:
                os.close(held)

    def _entry(self, facts: Mapping[str, Any]) -> dict[str, Any] | None:
        folder = self.folder(facts)
        try:
            text = retried((folder / ENTRY).read_bytes)
            reason = retried(lambda: _fault(folder, text, facts))
        except OSError as error:
            if read_failure(error):
                why = f"{error.filename or folder}: can't be read ({error.strerror})"
                raise CacheError(f"{why}; try again once it can, or give another cache.root") from error
            return None
        if reason:
            print(f"cache: {folder} is invalid and will be made again: {reason}", flush=True)
            return None
        found: dict[str, Any] = json.loads(text)
        return found

    @contextlib.contextmanager
    def _writing(self, facts: Mapping[str, Any]) -> Iterator[Path]:
        folder = self.folder(facts)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            yield folder
        except OSError as error:
            why = error.strerror or error
            raise CacheError(f"cache.root={self.root}: can't be written ({why}); give another cache.root") from error

    def _seal(self, folder: Path, facts: Mapping[str, Any], content: Mapping[str, Any]) -> None:
        made = {"facts": complete(facts), **content}
        files.write_json(folder / ENTRY, {**made, "seal": json_hash(made)})


def key(facts: Mapping[str, Any]) -> str:
    """The cache key of `facts`, 32 hex digits; it includes the source code and package versions."""
    return json_hash(complete(facts))[:32]


def complete(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of an entry with the source code and package versions, as JSON returns them."""
    made: dict[str, Any] = json.loads(json.dumps({**facts, **_making()}))
    return made


@lru_cache
def _making() -> dict[str, Any]:
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"format": FORMAT, "source": source_hash_of(*SOURCES), "packages": versions}


def _fault(folder: Path, text: bytes, facts: Mapping[str, Any]) -> str:
    """Why what is in `folder` can't be used, or ""."""
    try:
        found = json.loads(text)
        seal = found.pop("seal")
        if seal != json_hash(found):
            return f"{ENTRY} is not as it was written"
        if found["facts"] != complete(facts):
            return f"{ENTRY} is another entry's"
        if "sha256" in found and _hash_of(folder / TENSORS) != found["sha256"]:
            return f"{TENSORS} is not as it was written"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if read_failure(error):
            raise
        return f"{type(error).__name__}: {error}"
    return ""


def _hash_of(path: Path) -> str:
    at = path.stat()
    return _hashed(path, (at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns))


@lru_cache(maxsize=64)
def _hashed(path: Path, _: tuple[int, ...]) -> str:
    """Once a process for a file that has not been touched: a sweep's jobs need not read it all again."""
    return file_hash(path)
