"""Reader of vectors such as spectra: one row per sample, from CSV, TSV, Parquet or HDF5."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from multimodal_lab.data.readers.folder import existing, given, readable, some
from multimodal_lab.data.readers.labels import read_table
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.source import DataError, Raw
from multimodal_lab.data.streams.bands import indices, need_kind
from multimodal_lab.types import Band, Stream


class Table:
    """One table below `root`: the columns whose whole name matches `pattern` are bands, all others stay as they are.

    pattern: a regular expression; its group `nm`, if it has one, is the band's wavelength in nm. unit: of the values.
    id: the column of names, the row number without it. labels: columns that must be there, and complete unless
    `missing_labels` is `keep`. where: {column: value}, the rows to keep. In HDF5 `values` is the (N, C) data set,
    `centres` the optional (C,) one of wavelengths in nm (band i is then called `nm<centre>`, else `B<i>`), and every
    other data set of N values at the top of the file is a column. A missing or infinite value in a band is a
    `DataError` naming row and column.
    """

    def __init__(
        self,
        root: str,
        *,
        file: str,
        pattern: str,
        id: str | None = None,
        labels: list[str] | None = None,
        missing_labels: Literal["refuse", "keep"] = "refuse",
        where: dict[str, Any] | None = None,
        unit: str = "",
        values: str = "values",
        centres: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.root = existing(root)
        self.file = file
        path = given(self.root, file, "data.source.file")
        limits = limits or Limits()
        limits.check(file, pixels=1, bands=1, itemsize=max(1, path.stat().st_size))
        hdf5 = path.suffix.lower() in (".h5", ".hdf5")
        rows = _from_hdf5(path, values, centres, limits) if hdf5 else read_table(path, id, limits)
        rows = _kept(rows, where or {}, file)
        names, self.bands = _bands([str(c) for c in rows.columns], pattern, unit, file)
        limits.check(file, bands=len(names), itemsize=4)
        limits.count(file, len(rows))
        ids = _ids(rows, id, file)
        _complete(rows, ids, labels or [], missing_labels, file)
        self._values = _numbers(rows[names], ids, file)
        kept = rows.drop(columns=[*names, *([id] if id else [])])
        clash = [c for c in kept.columns if c in ("id", "path")]
        if clash:
            raise DataError(
                f"{file}: has a column {clash[0]!r}, which is the reader's own; name it in data.source.id or rename it"
            )
        samples = pd.DataFrame({"id": ids, "path": file}, index=kept.index)
        # A named id column is kept under its own name too, so that a split can group by it.
        named = {} if id in (None, "id") else {id: ids}
        self.samples: pd.DataFrame = pd.concat([samples.assign(**named), kept], axis=1).reset_index(drop=True)

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """(C,) float32 per stream."""
        need_kind(streams, ["vector"], self.file)
        return Raw({s.name: self._values[index, indices(s, self.bands)] for s in streams})


def _kept(rows: pd.DataFrame, where: dict[str, Any], file: str) -> pd.DataFrame:
    for column, value in where.items():
        if column not in rows.columns:
            raise DataError(f"{file}: data.source.where names {column!r}; no such column")
        found = rows[column].map(str, na_action="ignore")
        if not (found == str(value)).any():
            raise DataError(
                f"{file}: no row with {column} = {value}; there are {some(sorted(found.dropna().unique()))}"
            )
        rows = rows[found == str(value)]
    return rows


def _bands(columns: list[str], pattern: str, unit: str, file: str) -> tuple[list[str], tuple[Band, ...]]:
    try:
        regex = re.compile(pattern)
    except re.error as error:
        raise DataError(f"data.source.pattern: {pattern!r} is not a regular expression: {error}") from error
    matches = [(c, m) for c in columns if (m := regex.fullmatch(c))]
    if not matches:
        raise DataError(f"{file}: no column matches data.source.pattern {pattern}; there are {some(columns)}")
    bands = []
    for name, match in matches:
        nm = match.groupdict().get("nm")
        try:
            bands.append(Band(name, None if nm is None else float(nm), unit))
        except ValueError as error:
            raise DataError(f"{file}: column {name}: {nm!r} is not a wavelength in nm") from error
    return [name for name, _ in matches], tuple(bands)


def _ids(rows: pd.DataFrame, column: str | None, file: str) -> list[str]:
    if column is None:
        return [str(i) for i in range(len(rows))]
    if column not in rows.columns:
        raise DataError(f"{file}: no column {column!r} (data.source.id); there are {some(list(rows.columns))}")
    if rows[column].isna().any():
        raise DataError(f"{file}: row {_line(rows, int(np.flatnonzero(rows[column].isna())[0]))} has no {column}")
    ids = rows[column].astype(str)
    if ids.duplicated().any():
        raise DataError(f"{file}: {column} {some(list(ids[ids.duplicated()].unique()))} stands in more than one row")
    return [str(i) for i in ids]


def _complete(rows: pd.DataFrame, ids: list[str], labels: list[str], missing: str, file: str) -> None:
    for label in labels:
        if label not in rows.columns:
            raise DataError(f"{file}: no column {label!r} (data.source.labels); there are {some(list(rows.columns))}")
        empty = [i for i, bad in zip(ids, rows[label].isna()) if bad]
        if empty and missing == "refuse":
            raise DataError(
                f"{file}: {len(empty)} of {len(ids)} rows have no {label}: {some(empty)} "
                "(data.source.missing_labels=keep keeps them unlabelled)"
            )


def _numbers(rows: pd.DataFrame, ids: list[str], file: str) -> np.ndarray:
    wrong = [c for c in rows.columns if not pd.api.types.is_numeric_dtype(rows[c])]
    for column in wrong:
        bad = pd.to_numeric(rows[column], errors="coerce").isna() & rows[column].notna()
        at = int(np.flatnonzero(bad)[0]) if bad.any() else 0
        raise DataError(
            f"{file}: row {_line(rows, at)} ({ids[at]}), column {column}: {rows[column].iloc[at]!r}, expected a number"
        )
    values = rows.to_numpy(dtype=np.float32, na_value=np.nan)
    bad_at = np.argwhere(~np.isfinite(values))
    if len(bad_at):
        row, column_at = bad_at[0]
        raise DataError(
            f"{file}: row {_line(rows, row)} ({ids[row]}), column {rows.columns[column_at]}: {values[row, column_at]}, "
            f"expected a finite number ({len(bad_at)} such values)"
        )
    return np.ascontiguousarray(values)


def _line(rows: pd.DataFrame, at: int) -> int:
    return int(rows.index[at])


def _from_hdf5(path: Path, values: str, centres: str | None, limits: Limits) -> pd.DataFrame:
    from multimodal_lab.data.readers.hdf5_file import claim, column, dataset, open_file

    with readable(path.name, "HDF5 file"), open_file(path, path.name, 1) as file:
        data = dataset(file, values, path.name)
        if data.ndim != 2 or data.dtype.kind not in "iuf":
            raise DataError(
                f"{path.name}: {values} has shape {data.shape} of {data.dtype}, expected numbers (samples, bands)"
            )
        claim(data, f"{path.name}: {values}", limits, data.shape[0])
        limits.check(path.name, pixels=data.shape[0], bands=data.shape[1], itemsize=data.dtype.itemsize)
        count = data.shape[1]
        names = [f"B{i:03d}" for i in range(count)]
        if centres:
            names = [f"nm{float(v):g}" for v in column(file, centres, path.name, count)]
        rows = pd.DataFrame(data[:], columns=names)
        others = [k for k in file if k not in (values, centres) and dataset(file, k, path.name).shape == (len(rows),)]
        return rows.assign(**{k: column(file, k, path.name, len(rows)) for k in others})
