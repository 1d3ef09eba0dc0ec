"""Pieces of files: rows that go from one time to another, several of one long recording or video, or its windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from multimodal_lab.data.readers.columns.medium import WHOLE, Piece
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.recordings import RECORDING
from multimodal_lab.data.readers.windows import Windows
from multimodal_lab.data.source import DataError

CLIP = "clip_of_recording"  # the column that says which of several clips of a video a row has
ENDS = ("start", "end")  # columns of windows
MARK = "{}_piece"  # the column that says which part of which file a row has
CLIP_MARK = "{}_clip"  # and which clip of it


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
        if made and RECORDING not in samples:
            made[RECORDING] = list(samples[next(iter(self.times))])
        if clash := [name for name in made if name in samples]:
            raise DataError(f"{self.where}: has a column {clash[0]!r}, which is the reader's own; rename it")
        return samples.assign(**made) if made else samples

    def item(self, column: str, clip: bool = False) -> str:
        """The column whose equal values mark rows that hold the same of a column of files, of which rows have clips if `clip`."""
        return CLIP_MARK.format(column) if clip else MARK.format(column) if column in self.times else column

    def clips(self, samples: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
        """The table with a column for each of these that says which clip of which file, or piece, a row has."""
        made: dict[str, Any] = {}
        for column in columns:
            rows = zip(samples[self.item(column)], samples[CLIP], strict=True)
            made[self.item(column, True)] = [
                f"{whole}#{k}" if isinstance(whole, str) and whole else None for whole, k in rows
            ]
        if clash := [name for name in made if name in samples]:
            raise DataError(f"{self.where}: has a column {clash[0]!r}, which is the reader's own; rename it")
        return samples.assign(**made) if made else samples

    def of(self, column: str, samples: pd.DataFrame, index: int) -> Piece:
        """The part of its file that a row has."""
        if column not in self.times:
            return WHOLE
        start, end = (float(samples[name].iloc[index]) for name in self.times[column])
        return Piece(start, end - start)


def cut(
    samples: pd.DataFrame,
    column: str,
    seconds: Callable[[str], float],
    windows: Windows,
    limits: Limits,
    root: Path,
    where: str,
) -> tuple[pd.DataFrame, list[str]]:
    """A row a window of each row's file, with its `recording` (the row's id), `start` and `end`; what there is to tell.

    seconds(path): how long a file below `root` is. A row without a file stays one row.
    """
    windows.require()
    if windows.unit != "seconds":
        raise DataError("data.source.windows.unit: steps, expected seconds for files that may have several rates")
    if clash := [name for name in (RECORDING, *ENDS) if name in samples]:
        raise DataError(f"{where}: has a column {clash[0]!r}, which data.source.windows makes; rename it")
    assert windows.length is not None
    rows: list[tuple[int, float | None, float | None]] = []
    lengths: list[float] = []
    unused: list[float] = []
    for i, path in enumerate(samples[column]):
        if not isinstance(path, str) or not path:
            rows.append((i, None, None))
            continue
        lengths.append(length := seconds(path))
        found = windows.starts(0.0, length, f"{where}: {path}", 1.0, limits, (root / path).stat().st_size)
        unused.append(windows.unused(length, found, 1.0))
        rows += [(i, start, min(start + windows.length, length)) for start in found]
    if not rows:
        raise DataError(f"{where}: all files are shorter than data.source.windows.length")
    places, starts, ends = zip(*rows)
    made = samples.iloc[list(places)].reset_index(drop=True)
    count = made.groupby("id").cumcount()
    ids = [f"{name}#{k}" for name, k in zip(made["id"], count, strict=True)]
    facts: dict[str, Any] = {RECORDING: made["id"].astype(str), ENDS[0]: starts, ENDS[1]: ends, "id": ids}
    made = made.assign(**facts)
    made.attrs = {**samples.attrs, "overlapping": RECORDING}
    notes = windows.told(lengths)
    if left := sum(u > 1e-3 for u in unused):
        notes.append(
            f"windows: ends that fill no whole window are left out: {sum(unused) / len(unused):.3g} seconds on average, "
            f"{max(unused):.3g} at most ({left} of {len(unused)} files)"
        )
    return made, notes


def in_clips(samples: pd.DataFrame, count: int, where: str) -> pd.DataFrame:
    """A row for each clip, where videos are taken in several (`count`): `recording` keeps the id, which becomes `id#k`."""
    if count == 1:
        return samples
    if clash := [c for c in (RECORDING, CLIP) if c in samples]:
        raise DataError(f"{where}: has a column {clash[0]!r}, which is the reader's own; rename it")
    many = samples.loc[samples.index.repeat(count)].reset_index(drop=True)
    number = list(range(count)) * len(samples)
    ids = [f"{name}#{k}" for name, k in zip(many["id"], number, strict=True)]
    many[RECORDING], many[CLIP], many["id"] = many["id"], number, ids
    many.attrs = {**samples.attrs, "overlapping": RECORDING}
    return many
