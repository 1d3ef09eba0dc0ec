"""Headers of a data set's files: all read when it is opened, or each when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, TypeVar, overload

import pandas as pd

from multimodal_lab.data.readers.folder import counted, table
from multimodal_lab.data.source import DataError
from multimodal_lab.files import retried

H = TypeVar("H")
Verify = Literal["all", "headers", "none"]
Read = Callable[[str, tuple[str, H] | None], H]


@overload
def headers(paths: Sequence[str], read: Read[H], on_error: str) -> list[H | DataError]: ...


@overload
def headers(
    paths: Sequence[str], read: Read[H], on_error: str, verify: Verify
) -> list[H | DataError] | LazyHeaders: ...


def headers(
    paths: Sequence[str], read: Read[H], on_error: str, verify: Verify = "all"
) -> list[H | DataError] | LazyHeaders:
    """What `read(path, first)` gives of each file, `first` being the first good path and its header, if there was one.

    Unless `on_error` is `raise`, a `DataError` takes the place of the header. Else the first is raised, with the number
    of those that there are, as it is where no file can be read. With verify=none the first good header alone is read, and
    each of the others when it is asked for.
    """
    if verify == "none":
        return LazyHeaders(paths, read)
    made: list[H | DataError] = []
    first: tuple[str, H] | None = None
    for path in paths:
        try:
            header = retried(partial(read, path, first))
            first = first or (path, header)
            made.append(header)
        except DataError as error:
            made.append(error)
    bad = [found for found in made if isinstance(found, DataError)]
    if made and first is None:
        raise _none(len(made), bad[0])
    if bad and on_error == "raise":
        raise DataError(f"{bad[0]} ({counted(len(bad), len(made), 'files')})") from bad[0]
    return made


class LazyHeaders:
    """The headers of files, each read when it is first asked for. first: the first good path and its header."""

    def __init__(self, paths: Sequence[str], read: Read[Any]) -> None:
        self.paths, self.read = paths, read
        self.known: dict[int, Any] = {}
        self._first: tuple[str, Any] | None = None
        good = next((i for i in range(len(paths)) if not isinstance(self[i], DataError)), None)
        if good is None:
            raise _none(len(paths), self[0])
        self.first = self._first = paths[good], self[good]

    def __getitem__(self, index: int) -> Any:
        if index not in self.known:
            try:
                self.known[index] = retried(partial(self.read, self.paths[index], self._first))
            except DataError as error:
                self.known[index] = error
        return self.known[index]

    def note(self) -> str:
        """What a run says of the headers that wait."""
        return f"data.verify=none: one of {len(self.paths)} headers is read; all files are taken to be of its size"


def readable_header(found: H | DataError) -> H:
    """A header that `headers` gave; the error that was kept in its place is raised."""
    if isinstance(found, DataError):
        raise found
    return found


def sized(paths: Sequence[str], suffixes: Sequence[str], found: Sequence[object] | LazyHeaders) -> pd.DataFrame:
    """`table` with the `height` and `width` of each file's header, 0 where it could not be read; of the first, where the
    others wait."""
    if isinstance(found, LazyHeaders):
        _, first = found.first
        return table(paths, suffixes).assign(height=first.height, width=first.width)
    sizes = {name: [getattr(header, name, 0) for header in found] for name in ("height", "width")}
    return table(paths, suffixes).assign(**sizes)


def _none(files: int, first: DataError) -> DataError:
    """Of a set of files none can be read, of which there may be one alone."""
    return first if files == 1 else DataError(f"{files} files, none of which can be read: {first}")
