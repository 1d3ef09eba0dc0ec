"""An LMDB as a file: whether it is whole, by its own header, and one environment a process, opened when it is asked for."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from multimodal_lab.data.readers.folder import readable
from multimodal_lab.data.readers.lmdb_tree import require_tree
from multimodal_lab.data.source import DataError
from multimodal_lab.text import install_command

DATA = "data.mdb"
MAGIC, VERSIONS = 0xBEEFC0DE, (1, 999)  # 999: of development versions of the library
META = struct.Struct(
    "<16x II 8x 8x I H H 40x 48x Q Q"
)  # page header, magic, version, map, page size …, last page, transaction


class LmdbFile:
    """Values by key. `require_whole` is asked before every opening: the library maps the file, and what is read beyond the
    end of one that was copied half kills the process.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self.data = path / DATA if path.is_dir() else path
        require_tree(self.data, name, *require_whole(self.data, name))
        self._open: _Environment | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": None}

    def get(self, key: bytes) -> bytes | None:
        """The value of a key; None where there is none."""
        with readable(self.name, "LMDB"), self._environment().begin() as reading:
            found: bytes | None = reading.get(key)
            return found

    def have(self, keys: list[bytes]) -> list[bool]:
        """Which keys are there; values are not read."""
        with readable(self.name, "LMDB"), self._environment().begin() as reading:
            cursor = reading.cursor()
            return [bool(cursor.set_key(key)) for key in keys]

    def close(self) -> None:
        """Leave the file, where no other reader of this process has it open, and the memory that its pages are mapped to."""
        self._open = None

    def every_key(self) -> Iterator[bytes]:
        """Every key, in order."""
        with readable(self.name, "LMDB"), self._environment().begin() as reading:
            yield from reading.cursor().iternext(keys=True, values=False)

    def _environment(self) -> Any:
        """That of this process."""
        if self._open is None or self._open.process != os.getpid():
            if self._open is not None:  # of the process that forked this one: not to be used here
                self._open.close()
            require_whole(self.data, self.name)
            stat = self.data.stat()
            key = (os.getpid(), stat.st_dev, stat.st_ino)
            self._open = SHARED.get(key) or SHARED.setdefault(key, _Environment(self.path, self.name))
        return self._open.environment


class _Environment:
    """An open LMDB, closed with its last user: the library opens a file but once a process."""

    environment: Any = None

    def __init__(self, path: Path, name: str) -> None:
        try:
            import lmdb
        except ImportError as error:
            raise DataError(f"{name}: needs the package lmdb: {install_command('lmdb')}") from error
        self.process = os.getpid()
        # without a lock: nothing is written here, and the folder may be read-only
        how: dict[str, bool] = {"readonly": True, "lock": False, "readahead": False, "meminit": False}
        self.environment = lmdb.open(str(path), subdir=path.is_dir(), **how)

    def close(self) -> None:
        """Leave the file; twice does nothing."""
        if self.environment is not None:
            self.environment.close()

    __del__ = close


SHARED: WeakValueDictionary[tuple[int, int, int], _Environment] = WeakValueDictionary()  # by process, device and inode


def require_whole(data: Path, name: str) -> tuple[int, int, int]:
    """`DataError` where a file is no LMDB, or shorter than its own header says that it is; the place of its newest header, the
    bytes of a page and the number of the last one."""
    if not data.is_file():
        raise DataError(f"{name}: no file {data.name}, expected an LMDB")
    size = data.stat().st_size
    with data.open("rb") as file:
        pages = [_meta(file.read(META.size))]
        if pages[0] is not None:
            file.seek(pages[0][0])
            pages.append(_meta(file.read(META.size)))
    found = [page for page in pages if page is not None]
    if pages[0] is None:
        raise DataError(f"{name}: {data.name} is no LMDB: it does not begin with the header of one")
    page, last, newest = max(found, key=lambda meta: meta[2])
    if size < (last + 1) * page:
        said = f"{data.name} has {size:,} bytes, its header asks for {(last + 1) * page:,}"
        raise DataError(f"{name}: copied half: {said}; copy it again (mdb_copy makes a whole one)")
    return (0 if pages[0][2] == newest else pages[0][0]), page, last


def _meta(raw: bytes) -> tuple[int, int, int] | None:
    """Page size, last page in use and transaction of one of the two headers; None of what is none."""
    if len(raw) < META.size:
        return None
    magic, version, page, _, _, last, transaction = META.unpack(raw)
    whole = magic == MAGIC and version in VERSIONS and page in {1 << n for n in range(8, 17)}
    return (page, last, transaction) if whole else None
