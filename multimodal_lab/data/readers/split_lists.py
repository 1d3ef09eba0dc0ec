"""Published splits as lists: a text file a split, a file name a line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from multimodal_lab.data.readers.folder import given, readable
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import NAMES

KEY, COLUMN = "data.source.labels.lists", "split"


def read(root: Path, lists: Mapping[str, str]) -> dict[str, str]:
    """{file name: its split} of the `lists` {train, val or test: a file, absolute or below the root}; blank lines count nothing.

    `DataError` for another split, a file that is no text of lines, and a name in two of them.
    """
    found: dict[str, str] = {}
    for split, file in lists.items():
        if split not in NAMES:
            raise DataError(f"{KEY}: {split!r} is no split; expected {', '.join(NAMES)}")
        path = given(root, file, f"{KEY}.{split}")
        with readable(file, "list of file names"):
            text = path.read_text(encoding="utf-8-sig")
        names = [name for line in text.splitlines() if (name := line.strip())]
        if not names:
            raise DataError(f"{file}: no file name in it, expected one a line")
        for name in names:
            if (other := found.setdefault(name, split)) != split:
                raise DataError(f"{file}: {name} stands in the list of {other}, too")
    return found
