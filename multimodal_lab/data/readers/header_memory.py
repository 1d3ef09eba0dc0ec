"""Remember the headers of image files in the user's cache: of a file that nobody has touched, none is read again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from multimodal_lab.data.readers.file_hashes import settled, stamp
from multimodal_lab.data.readers.images import Alpha, Colour, Header, read_header
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.files import read_json, user_cache, write_json

FEWEST = 1000  # fewer are read sooner than they are looked up
FORMAT = 1


class HeaderMemory:
    """Reads the headers of the images below one root, or knows them from an earlier start.

    What is remembered is valid for a file of the same size, times and inode, and for the same colour, alpha and limits: what
    was good then is good now. A header that was refused is read again.
    """

    def __init__(self, root: Path, colour: Colour, alpha: Alpha, limits: Limits, paths: Sequence[str]) -> None:
        self.root, self.colour, self.alpha, self.limits = root, colour, alpha, limits
        choices = repr((os.fsencode(root), colour, alpha, asdict(limits), FORMAT))
        self.place = user_cache() / "headers" / f"{hashlib.sha256(choices.encode()).hexdigest()[:32]}.json"
        self.known = _load(self.place) if len(paths) >= FEWEST else {}
        self.worth = len(paths) >= FEWEST
        self.new: dict[str, str] = {}

    def read(self, path: str, first: tuple[str, Header] | None = None) -> Header:
        """The header of a file, by its path below the root; `DataError` if it is no such image."""
        mark = stamp(self.root / path) if self.worth else ""
        found = self.known.get(path, "")
        if mark and found.startswith(f"{mark} ") and (known := _parsed(found[len(mark) + 1 :])):
            return known
        began = time.time_ns()
        header = read_header(self.root / path, path, self.colour, self.alpha, self.limits)
        if mark and settled(mark, began) and header.nodata is None:
            self.new[path] = f"{mark} {_written(header)}"
        return header

    def save(self) -> None:
        """Remember what was read; a cache that can't be written costs the next start its time, and no more."""
        if self.new:
            with contextlib.suppress(OSError):
                self.place.parent.mkdir(parents=True, exist_ok=True)
                write_json(self.place, {"headers": self.known | self.new})


def _load(place: Path) -> dict[str, str]:
    """{path: stamp and header as text}; a memory that is damaged says nothing."""
    try:
        found = read_json(place)["headers"]
        return {path: row for path, row in found.items() if isinstance(row, str)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _written(header: Header) -> str:
    """As words, which half a million of make no lists of JSON."""
    return " ".join(
        map(
            str,
            (
                header.height,
                header.width,
                int(header.grey),
                int(header.alpha),
                header.bits,
                header.orientation,
                header.mode,
            ),
        )
    )


def _parsed(text: str) -> Header | None:
    """What `_written` wrote; None of anything else."""
    *numbers, mode = text.split(" ")
    if len(numbers) != 6 or not all(word.isdecimal() for word in numbers):
        return None
    height, width, grey, alpha, bits, orientation = map(int, numbers)
    return Header(height, width, bool(grey), bool(alpha), bits, None, mode, orientation)
