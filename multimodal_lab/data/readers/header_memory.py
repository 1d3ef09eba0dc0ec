"""Remember the headers of files in the user's cache: of a file that nobody has touched, none is read again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from multimodal_lab.data.readers.file_hashes import settled, stamp
from multimodal_lab.files import read_json, user_cache, write_json

FEWEST = 1000  # fewer are read sooner than they are looked up
FORMAT = 1
H = TypeVar("H")


class HeaderMemory(Generic[H]):
    """Reads the headers of the files below one root, or knows them from an earlier start.

    choices: what else a header depends on; its `repr` counts. read(file, path): the header of a file, `path` being its name
    below the root. written, parsed: a header as one line of text and back, "" and None for what is not to be remembered or is
    damaged. What is remembered is valid for a file of the same size, times and inode, and for the same choices: what was good
    then is good now. A header that was refused is read again.
    """

    def __init__(
        self,
        root: Path,
        choices: object,
        paths: Sequence[str],
        read: Callable[[Path, str], H],
        written: Callable[[H], str],
        parsed: Callable[[str], H | None],
    ) -> None:
        self.root, self._read, self._written, self._parsed = root, read, written, parsed
        facts = repr((os.fsencode(root), choices, FORMAT))
        self.place = user_cache() / "headers" / f"{hashlib.sha256(facts.encode()).hexdigest()[:32]}.json"
        self.worth = len(paths) >= FEWEST
        self.known = _load(self.place) if self.worth else {}
        self.new: dict[str, str] = {}

    def read(self, path: str, first: tuple[str, H] | None = None) -> H:
        """The header of a file, by its path below the root; `DataError` if it is no such file."""
        mark = stamp(self.root / path) if self.worth else ""
        found = self.known.get(path, "")
        if mark and found.startswith(f"{mark} ") and (known := self._parsed(found[len(mark) + 1 :])) is not None:
            return known
        began = time.time_ns()
        header = self._read(self.root / path, path)
        if mark and settled(mark, began) and (words := self._written(header)):
            self.new[path] = f"{mark} {words}"
        return header

    def save(self) -> None:
        """Remember what was read; a cache that can't be written costs the next start its time, and no more."""
        if self.new:
            with contextlib.suppress(OSError):
                self.place.parent.mkdir(parents=True, exist_ok=True)
                write_json(self.place, {"headers": self.known | self.new})


def _load(place: Path) -> dict[str, Any]:
    """{path: stamp and header as text}; a memory that is damaged says nothing."""
    try:
        found = read_json(place)["headers"]
        return {path: row for path, row in found.items() if isinstance(row, str)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
