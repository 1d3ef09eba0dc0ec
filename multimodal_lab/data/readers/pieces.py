"""Rows that are a part of a file, from one time to another: several of one long recording or video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from multimodal_lab.data.readers.columns.medium import WHOLE, Piece
from multimodal_lab.data.source import DataError

MARK = "{}_piece"  # the column that says which part of which file a row has


class Pieces:
    """times: {column of files: [column of starts, column of ends]}, in seconds from the file's beginning."""

    def __init__(self, times: Mapping[str, Sequence[str]], files: Sequence[str], where: str) -> None:
        self.times = {column: list(two) for column, two in times.items()}
        self.where = where
        for column, two in self.times.items():
            if column not in files:
                raise DataError(f"data.source.pieces: no column of files {column!r}; there are {', '.join(files)}")
            if len(two) != 2:
                raise DataError(f"data.source.pieces.{column}: {two}, expected two columns, of starts and of ends")
        self.needed = list(dict.fromkeys(name for two in self.times.values() for name in two))
        self.columns = [*self.needed, *(MARK.format(column) for column in self.times)]
        self.identity = (self.times,) if self.times else ()

    def require(self, number: int, row: Mapping[str, Any]) -> None:
        """`DataError` for a row whose times are no numbers or not in order."""
        for start, end in self.times.values():
            a, b = row.get(start), row.get(end)
            if a is None or b is None:  # a gap, which `Gaps` tells
                continue
            plain = all(isinstance(t, int | float) and not isinstance(t, bool) for t in (a, b))
            if not plain or not 0 <= a < b < float("inf"):
                raise DataError(
                    f"{self.where}: row {number}: {start} is {a!r} and {end} {b!r}, expected seconds with 0 <= {start} < {end}"
                )

    def marked(self, samples: pd.DataFrame) -> pd.DataFrame:
        """The table with a column for each of the files that says which piece a row has."""
        made: dict[str, Any] = {}
        for column, (start, end) in self.times.items():
            rows = zip(samples[column], samples[start], samples[end], strict=True)
            made[MARK.format(column)] = [
                f"{path}#{a:g}-{b:g}" if isinstance(path, str) and path else None for path, a, b in rows
            ]
        if clash := [name for name in made if name in samples]:
            raise DataError(f"{self.where}: has a column {clash[0]!r}, which is the reader's own; rename it")
        return samples.assign(**made) if made else samples

    def item(self, column: str) -> str:
        """The column whose equal values mark rows that hold the same of a column of files."""
        return MARK.format(column) if column in self.times else column

    def of(self, column: str, samples: pd.DataFrame, index: int) -> Piece:
        """The part of its file that a row has."""
        if column not in self.times:
            return WHOLE
        start, end = (float(samples[name].iloc[index]) for name in self.times[column])
        return Piece(start, end - start)
