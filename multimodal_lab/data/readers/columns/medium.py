"""A `Medium`: what columns of files of one sort know of their files, from headers at opening to arrays."""

from __future__ import annotations

import importlib.util
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from multimodal_lab.data.readers.folder import inside
from multimodal_lab.data.readers.header_memory import HeaderMemory
from multimodal_lab.data.readers.headers import LazyHeaders, Verify, headers
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.resize import Resize
from multimodal_lab.text import expected_one_of, install_command
from multimodal_lab.types import Band, Stream


class Piece(NamedTuple):
    """A part of a file, in seconds; `seconds` None: to its end. clip: which of several clips of it, see `video_sampling`."""

    start: float = 0.0
    seconds: float | None = None
    clip: int = 0


WHOLE = Piece()


@dataclass
class Decoded:
    """values (C, …) of all bands of a field; `rate` of its steps in Hz; `full_scale` as in `Raw`. values None: it counts as
    missing."""

    values: np.ndarray | None
    rate: float | None = None
    full_scale: float = 1.0

    @property
    def nbytes(self) -> int:
        """How much memory it takes."""
        return 0 if self.values is None else self.values.nbytes


@dataclass
class Opening:
    """What a table tells its media when they read headers. listed: its paths are those that the folder was found to hold, so
    that links among them may lead anywhere; those of a table stay below `root`. on_error, verify: as in `Data`."""

    root: Path
    file: str
    limits: Limits
    on_error: str = "raise"
    verify: Verify = "all"
    listed: bool = False

    def place(self, path: str) -> Path:
        """The file of a path below the root; `DataError` for a link of a table that leaves it."""
        return self.root / path if self.listed else inside(self.root, path, self.file)


class Medium:
    """Columns of files of one sort, in a table of them (`MediaTable`); derive one from this for each sort.

    key: the word of `data.source` that lists its columns. called: what messages call one file. suffixes: of its files, in lower
    case; named: of files that are meant to be such, by which a column is known. kind: of the streams that are cut from
    them; timed: they have a time axis. apart: other processes decode them, which can begin before
    they are asked for. requires: {package: extra of ours that installs it}.
    """

    key: ClassVar[str]
    called: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    named: ClassVar[frozenset[str]]
    kind: ClassVar[str]
    timed: ClassVar[bool] = False
    apart: ClassVar[bool] = False
    requires: ClassVar[dict[str, str]] = {}

    def __init__(self, columns: Sequence[str] | None) -> None:
        self.asked = columns  # None: found by the suffixes of what they name
        self.columns: list[str] = list(columns or ())
        self.bands: dict[str, tuple[Band, ...]] = {}

    @property
    def clips(self) -> int:
        """How many rows one of the table makes."""
        return 1

    @property
    def identity(self) -> Any:
        """The choices that change values, for the data's fingerprint."""
        return self.columns

    @property
    def by_column(self) -> dict[str, Any]:
        """{key of `data.source`: its choice} of all choices that may be made column by column, {column: choice}."""
        return {}

    def lacking(self) -> str:
        """What is not installed that it needs, in words; "" where all is."""
        absent = {
            package: extra for package, extra in self.requires.items() if importlib.util.find_spec(package) is None
        }
        return "; ".join(f"needs the package {package}: {install_command(extra)}" for package, extra in absent.items())

    def prepare(self, opening: Opening) -> None:
        """Check choices and packages, once the columns are known; may fill `bands` where no header is needed for it."""
        self.opening = opening
        if self.columns and (lacking := self.lacking()):
            raise DataError(f"{opening.file}: the column of {self.called}s {self.columns[0]!r} {lacking}")

    def open(self, column: str, paths: Sequence[str]) -> list[str]:
        """Read the header of each file of a column, by paths below the root, and fill `bands`; what there is to tell."""
        raise NotImplementedError

    def fields(self) -> dict[str, str]:
        """{field: kind of stream that is cut from it}, each field a column, or a part of one (`clip.audio`)."""
        return dict.fromkeys(self.columns, self.kind)

    def column(self, field: str) -> str:
        """The column of a field."""
        return field

    def seconds(self, column: str, path: str) -> float:
        """How long a file with a time axis is, by its header."""
        raise DataError(f"data.source.windows: {self.called}s have no time axis")

    def to_size(self, resizes: Mapping[str, Resize]) -> None:
        """Told what brings each stream to size: one that decodes large arrays may do so as it decodes."""

    def scaled(self) -> list[str]:
        """The fields that are."""
        return []

    def sampled(self) -> dict[str, dict[str, Any]]:
        """{field: which frames of a video its rows are, the fields of `Frames`}."""
        return {}

    def wanted(self, stream: Stream) -> Hashable:
        """What of a stream decides what is decoded of one file."""
        return (stream.rate, stream.steps)

    def read(self, field: str, path: str, stream: Stream, piece: Piece = WHOLE) -> Decoded:
        """One file, or a piece of it, for a stream: all bands of the field. `DataError` for one that can't be decoded."""
        raise NotImplementedError

    def headers(self, column: str, paths: Sequence[str], memory: HeaderMemory[Any]) -> list[Any] | LazyHeaders:
        """The headers of a column's files by the run's policies, known ones from the user's cache."""
        try:
            return headers(paths, memory.read, self.opening.on_error, self.opening.verify if paths else "all")
        finally:
            memory.save()


def require_columns(media: Sequence[Medium]) -> None:
    """`DataError` for a choice made by column that names none of the columns that it is of, which several media may share."""
    for key in dict.fromkeys(key for medium in media for key in medium.by_column):
        of = [medium for medium in media if key in medium.by_column]
        there = [column for medium in of for column in medium.columns]
        named = [column for medium in of if isinstance(choice := medium.by_column[key], Mapping) for column in choice]
        if wrong := [column for column in named if column not in there]:
            sorts = " or ".join(f"{medium.called}s" for medium in of)
            raise DataError(f"data.source.{key}: no column of {sorts} {wrong[0]!r}; {expected_one_of(wrong[0], there)}")
