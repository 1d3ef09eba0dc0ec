"""Reader of long tables of sensors: a row a moment, with its recording, its time and a column a channel."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd

from multimodal_lab.bounds import Positive
from multimodal_lab.data.readers.clock import TimeUnit, seconds
from multimodal_lab.data.readers.folder import existing, given
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.recordings import RECORDING, Recordings, Sensor
from multimodal_lab.data.readers.resample import require_ordered
from multimodal_lab.data.readers.spectra import bands_of_columns
from multimodal_lab.data.readers.table import keep_where
from multimodal_lab.data.readers.tables import read_table, require_column
from multimodal_lab.data.readers.windows import Windows
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.labels import COMPLETE
from multimodal_lab.text import some
from multimodal_lab.types import Band


class LongTable(Recordings):
    """CSV, TSV, Excel, Parquet or JSONL (see `read_table`) of all rows of all recordings.

    file: below root; {sensor: file} where sensors of other rates stand in tables of their own. recording: the columns
    whose values together name one recording, such as [subject, activity]. time: the column of times, in `time_unit`, or as dates
    and times of the day; null: rows are steps in their order, at `rate` Hz if that is known. pattern: whole names of the
    columns that are channels; an empty field was not measured. Every other column with one value a recording is a column of
    the samples; those that vary within one are left out, and told. where: {column: value}, the rows to keep.
    na_values: words that mean missing. missing_labels: whether a label that is learnt may lack.
    windows, max_gap: see `Recordings`.
    """

    def __init__(
        self,
        root: str,
        *,
        file: str | dict[str, str],
        pattern: str,
        recording: list[str],
        time: str | None = "time",
        time_unit: TimeUnit = "s",
        rate: Positive | None = None,
        where: dict[str, Any] | None = None,
        na_values: list[str] | None = None,
        missing_labels: Literal["refuse", "keep"] = "refuse",
        unit: str = "",
        windows: Windows | None = None,
        max_gap: Positive = 3.0,
        limits: Limits | None = None,
    ) -> None:
        folder, limits, notes = existing(root), limits or Limits(), list[str]()
        if time is not None and rate is not None:
            raise DataError(
                f"data.source.rate: {rate:g} Hz beside data.source.time={time}, which tells it; expected one of the two"
            )
        if not recording:
            raise DataError("data.source.recording: no column; expected those whose values name one recording")
        files = {"series": file} if isinstance(file, str) else file
        parts: dict[str, _Part] = {}
        for sensor, name in files.items():
            rows, told = read_table(given(folder, name, "data.source.file"), None, limits, na_values or ())
            notes += told
            limits.check(name, pixels=max(1, len(rows)), bands=max(1, rows.shape[1]), itemsize=8)
            rows = keep_where(rows, where or {}, name)
            for column in (*recording, *([time] if time else [])):
                require_column(rows, column, name, f"data.source.{'time' if column == time else 'recording'}")
            places, bands = bands_of_columns(rows, pattern, unit, "nm", name)
            parts[sensor] = _Part(name, rows, recording, time, time_unit, places, tuple(bands))
        names = list(dict.fromkeys(name for part in parts.values() for name in part.rows_of))
        limits.count(str(folder), len(names))
        table = _facts(names, parts, notes)
        if missing_labels == "refuse":
            table.attrs[COMPLETE] = dict.fromkeys(map(str, table.columns), "data.source.missing_labels")
        sensors = {sensor: part.sensor(names, rate) for sensor, part in parts.items()}
        super().__init__(", ".join(files.values()), table, sensors, windows or Windows(), max_gap, limits)
        self.images = [
            c for c in table if str(c).startswith("path_")
        ]  # files that the fingerprint takes in besides `path`
        self.notes = [*notes, *self.notes]


class _Part:
    """One table, its rows by recording."""

    def __init__(
        self, file: str, rows: pd.DataFrame, recording: list[str], time: str | None, unit: TimeUnit, places: list[int],
        bands: tuple[Band, ...],
    ) -> None:  # fmt: skip
        self.file, self.bands = file, bands
        key = rows[recording[0]].map(str, na_action="ignore")
        for column in recording[1:]:
            key = key + "/" + rows[column].map(str, na_action="ignore")
        if key.isna().any():
            at = int(key.isna().to_numpy().argmax())
            raise DataError(f"{file}: row {int(rows.index[at])} has no {' or '.join(recording)}")
        self.keys = key.to_numpy(dtype=object)
        self.rows_of: dict[str, np.ndarray] = {
            str(k): np.sort(v)
            for k, v in key.reset_index(drop=True).groupby(key.to_numpy(), sort=False).indices.items()
        }
        self.values = _numbers(rows.iloc[:, places], file)
        self.times = None if time is None else seconds(rows[time], unit, f"{file}: column {time}")
        self.other = rows[[c for i, c in enumerate(rows.columns) if i not in {*places} and c != time]].reset_index(
            drop=True
        )

    def sensor(self, names: list[str], rate: float | None) -> Sensor:
        """Every recording by its place in `names`."""
        empty = np.zeros(0, dtype=np.int64)
        rows = [self.rows_of.get(name, empty) for name in names]
        times = None if self.times is None else [self.times[r] for r in rows]
        for name, t in zip(names, times or ()):
            require_ordered(t, f"{self.file}: recording {name}")

        def load(i: int) -> np.ndarray:
            return np.asarray(self.values[rows[i]].T)

        return Sensor(self.bands, [len(r) for r in rows], load, rate, times)


def _facts(names: list[str], parts: dict[str, _Part], notes: list[str]) -> pd.DataFrame:
    """The table of recordings: what is constant in each."""
    table = pd.DataFrame({RECORDING: names})
    for k, (sensor, part) in enumerate(parts.items()):
        table["path" if not k else f"path_{sensor}"] = part.file
        first = {name: rows[0] for name, rows in part.rows_of.items()}
        varies = []
        for column in part.other.columns:
            values = part.other[column]
            if values.groupby(part.keys).nunique(dropna=False).max() > 1:
                varies.append(str(column))
                continue
            if column in table and column != RECORDING:
                continue
            if column in ("id", "path", "start"):
                raise DataError(f"{part.file}: has a column {column!r}, which is the reader's own; rename it")
            if column != RECORDING:
                table[column] = [values[first[name]] if name in first else None for name in names]
                table[column] = table[column].astype(values.dtype, errors="ignore")
        if varies:
            notes.append(f"{part.file}: left out, as they vary within a recording: {some(varies)}")
    return table


def _numbers(rows: pd.DataFrame, file: str) -> np.ndarray:
    """(T, C) float32, NaN where empty; a `DataError` names the first text that is no number."""
    made = np.empty(rows.shape, dtype=np.float32)
    for i, name in enumerate(rows.columns):
        column = pd.to_numeric(rows.iloc[:, i], errors="coerce")
        bad = (column.isna() & rows.iloc[:, i].notna()).to_numpy()
        if bad.any():
            at = int(bad.argmax())
            raise DataError(
                f"{file}: row {int(rows.index[at])}, column {name}: {rows.iloc[at, i]!r}, expected a number or nothing "
                f"({int(bad.sum())} such values; data.source.na_values names words that mean missing)"
            )
        made[:, i] = column.to_numpy(dtype=np.float32, na_value=np.nan)
    return made
