"""Find the many files that a table names below one folder: each folder is listed once, instead of asking for each file."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath, PureWindowsPath

from multimodal_lab.data.readers.folder import inside


class Places:
    """The files below `root`, by their names in a table."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._listed: dict[str, frozenset[str]] = {}

    def find(self, name: object, where: str) -> str:
        """The path relative to `root` of the file that `name` means; raises as `inside`, `NoFile` where there is none."""
        if isinstance(name, str) and self.has(name):
            return name
        return inside(self.root, name, where).relative_to(self.root).as_posix()

    def has(self, name: str) -> bool:
        """Whether `name` is, letter for letter, the path of a plain file that lies below `root` and is no link."""
        folder, _, last = name.rpartition("/")
        if folder not in self._listed:
            self._listed[folder] = self._files(folder)
        return last in self._listed[folder]

    def _files(self, folder: str) -> frozenset[str]:
        """The plain files of a folder below the root; none of one that is elsewhere or is written in another way."""
        parts = folder.split("/") if folder else []
        if (
            any(p in ("", ".", "..") for p in parts)
            or "\\" in folder
            or "\0" in folder
            or PureWindowsPath(folder).anchor
        ):
            return frozenset()
        path = self.root / PurePosixPath(folder)
        if not Path(os.path.realpath(path)).is_relative_to(self.root):
            return frozenset()
        try:
            with os.scandir(path) as entries:
                return frozenset(e.name for e in entries if e.is_file(follow_symlinks=False))
        except OSError:
            return frozenset()
