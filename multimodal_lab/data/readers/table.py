"""Reader of vectors such as spectra: one row per sample, from CSV, TSV, Parquet or HDF5."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from multimodal_lab.data.readers.folder import existing, given, readable
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.spectra import Duplicates, bands_of_columns, in_order
from multimodal_lab.data.readers.tables import doubts, read_table, require_column
from multimodal_lab.data.readers.typed_columns import typed
from multimodal_lab.data.source import DataError, Raw, Rows
from multimodal_lab.data.streams.bands import indices, need_kind
from multimodal_lab.data.streams.labels import COMPLETE
from multimodal_lab.text import some
from multimodal_lab.types import Stream


class Table:
    """One table below `root`: the columns whose whole name matches `pattern` are bands, all others stay as they are.

    file: see `read_table`, or HDF5. pattern: a regular expression; its group `nm`, if it has one, is the band's wavelength
    in `wavelength_unit`. Bands that have wavelengths are put in their order. duplicates: what columns of one wavelength
    are (two detectors, replicates): an error, their mean, or the first of them. unit: of the values. id: the column of
    names, always text, the row number without it. labels: columns that must be there, and complete unless
    `missing_labels` is `keep`, as must be all that are learnt. na_values: words that mean missing, beside the empty
    field. where: {column: value}, the rows to keep. In HDF5 `values` is the (N, C) data set, `centres` the optional (C,)
    one of wavelengths (band i is then called `nm<centre>`, else `B<i>`), and every other data set of N values at the top
    of the file is a column. A missing or infinite value in a band is a `DataError` naming row and column.
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
        na_values: list[str] | None = None,
        where: dict[str, Any] | None = None,
        unit: str = "",
        wavelength_unit: Literal["nm", "um"] = "nm",
        duplicates: Duplicates = "refuse",
        values: str = "values",
        centres: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.root = existing(root)
        self.file = file
        path = given(self.root, file, "data.source.file")
        limits = limits or Limits()
        limits.check(file, pixels=1, bands=1, itemsize=max(1, path.stat().st_size))
        if path.suffix.lower() in (".h5", ".hdf5"):
            found = _from_hdf5(path, values, centres, limits)
            rows, self.notes = typed(found, id, None, {*(na_values or ())}, file, [])
        else:
            rows, self.notes = read_table(path, id, limits, na_values or ())
        rows = keep_where(rows, where or {}, file)
        places, bands = bands_of_columns(rows, pattern, unit, wavelength_unit, file)
        limits.check(file, bands=len(places), itemsize=4)
        limits.count(file, len(rows))
        ids = _ids(rows, id, file)
        _complete(rows, ids, labels or [], missing_labels, file)
        values_read = _numbers(rows.iloc[:, places], ids, file)
        self._values, self.bands, told = in_order(values_read, bands, duplicates, file)
        self.notes += told
        kept = rows.iloc[:, [i for i, c in enumerate(rows.columns) if i not in {*places} and c != id]]
        _require_own(kept, file)
        self.notes += doubts(kept, kept.columns, file)
        samples = pd.DataFrame({"id": ids, "path": file}, index=kept.index)
        # A named id column is kept under its own name too, so that a split can group by it.
        named = {} if id in (None, "id") else {id: ids}
        self.samples: pd.DataFrame = pd.concat([samples.assign(**named), kept], axis=1).reset_index(drop=True)
        if missing_labels == "refuse":
            self.samples.attrs[COMPLETE] = dict.fromkeys(kept.columns, "data.source.missing_labels")

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """(C,) float32 per stream."""
        need_kind(streams, ["vector"], self.file)
        return Raw({s.name: self._values[index, indices(s, self.bands)] for s in streams})

    def read_rows(self, index: np.ndarray, streams: Sequence[Stream]) -> Rows | None:
        """The same of many rows at once."""
        need_kind(streams, ["vector"], self.file)
        values = {s.name: self._values[index[:, None], indices(s, self.bands)] for s in streams}
        return Rows(values, dict.fromkeys(values, 1.0))


def keep_where(rows: pd.DataFrame, where: dict[str, Any], file: str) -> pd.DataFrame:
    """The rows whose columns have the values that `where` says; none is a `DataError`."""
    for column, value in where.items():
        require_column(rows, column, file, "data.source.where")
        found = rows[column].map(str, na_action="ignore")
        if not (found == str(value)).any():
            raise DataError(
                f"{file}: no row with {column} = {value}; there are {some(sorted(found.dropna().unique()))}"
            )
        rows = rows[(found == str(value)).fillna(False).to_numpy(dtype=bool)]
    return rows


def _require_own(kept: pd.DataFrame, file: str) -> None:
    """Refuse columns that the reader adds itself, and two of one name."""
    clash = [c for c in kept.columns if c in ("id", "path")]
    if clash:
        raise DataError(
            f"{file}: has a column {clash[0]!r}, which is the reader's own; name it in data.source.id or rename it"
        )
    for column in kept.columns[kept.columns.duplicated()]:
        require_column(kept, column, file)


def _ids(rows: pd.DataFrame, column: str | None, file: str) -> list[str]:
    if column is None:
        return [str(i) for i in range(len(rows))]
    require_column(rows, column, file, "data.source.id")
    if rows[column].isna().any():
        raise DataError(f"{file}: row {_line(rows, int(np.flatnonzero(rows[column].isna())[0]))} has no {column}")
    ids = rows[column].astype(str)
    if ids.duplicated().any():
        raise DataError(f"{file}: {column} {some(list(ids[ids.duplicated()].unique()))} stands in more than one row")
    return [str(i) for i in ids]


def _complete(rows: pd.DataFrame, ids: list[str], labels: list[str], missing: str, file: str) -> None:
    for label in labels:
        require_column(rows, label, file, "data.source.labels")
        empty = [i for i, bad in zip(ids, rows[label].isna()) if bad]
        if empty and missing == "refuse":
            raise DataError(
                f"{file}: {len(empty)} of {len(ids)} rows have no {label}: {some(empty)} "
                "(data.source.missing_labels=keep keeps them unlabelled)"
            )


def _numbers(rows: pd.DataFrame, ids: list[str], file: str) -> np.ndarray:
    """(N, C) float32; a `DataError` names the first value that is no finite number."""
    columns = [pd.to_numeric(rows.iloc[:, i], errors="coerce") for i in range(rows.shape[1])]
    values = np.stack([c.to_numpy(dtype=np.float32, na_value=np.nan) for c in columns], axis=1)
    bad_at = np.argwhere(~np.isfinite(values))
    if len(bad_at):
        row, column_at = bad_at[0]
        found = rows.iloc[row, column_at]
        said = repr(found) if isinstance(found, str) else "empty" if pd.isna(found) else str(found)
        raise DataError(
            f"{file}: row {_line(rows, row)} ({ids[row]}), column {rows.columns[column_at]}: {said}, "
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
            found = [float(v) for v in column(file, centres, path.name, count)]
            short = [f"nm{v:g}" for v in found]
            # Six digits, as long as they tell apart what differs.
            names = short if len(set(short)) == len(set(found)) else [f"nm{v!r}" for v in found]
        rows = pd.DataFrame(data[:], columns=pd.Index(names, dtype=object))
        others = [k for k in file if k not in (values, centres) and dataset(file, k, path.name).shape == (len(rows),)]
        made = pd.DataFrame({k: column(file, k, path.name, len(rows)) for k in others}, index=rows.index)
        return pd.concat([rows, made], axis=1)
