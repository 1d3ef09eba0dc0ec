"""Reader of series as arrays: .npy and HDF5, all recordings in one array, end to end in one, or a file a recording."""

from __future__ import annotations

from typing import Literal

import pandas as pd

from multimodal_lab.bounds import Positive
from multimodal_lab.data.readers.folder import existing, given
from multimodal_lab.data.readers.labels import Labels
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.recordings import RECORDING, Recordings, Sensor
from multimodal_lab.data.readers.relative import Relative
from multimodal_lab.data.readers.series_file import ArrayFile, columns_beside, end_to_end, file_each, stacked
from multimodal_lab.data.readers.tables import read_table, require_column
from multimodal_lab.data.readers.windows import Windows
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.labels import COMPLETE

Axes = Literal["NCT", "NTC", "CT", "TC"]


class SeriesArrays(Recordings):
    """Arrays below `root`, in {sensor: place}: `x.npy`, `x.h5:data/set`, or `folder/*.npy`, a file a recording.

    axes: NCT or NTC of an array of all recordings, N recordings, C channels, T steps; CT or TC of a file a recording, or of
    an array in which recordings lie end to end. start, count: {sensor: column of `table`} that say where each begins there and
    how many steps it has. Axes behind the channels are channels too: (T, 20, 3) has 60. NaN was not measured.
    table: a row a recording, in the order of the arrays, or for a file a recording `labels` finds its columns by file names
    and folders; without a table, data sets of N values beside an HDF5 array are its columns. id: the column of names; without it
    recordings are numbered. bands: {sensor: names of its channels} (d000, d001, … without). rates: {sensor: Hz}.
    relative: {sensor: what its points are counted from}, see `Relative`.
    missing_labels: whether a label that is learnt may lack in a row of the table. windows, max_gap: see `Recordings`.
    """

    def __init__(
        self,
        root: str,
        *,
        arrays: dict[str, str],
        axes: Axes = "NCT",
        table: str | None = None,
        id: str | None = None,
        start: dict[str, str] | None = None,
        count: dict[str, str] | None = None,
        labels: Labels | None = None,
        bands: dict[str, list[str]] | None = None,
        rates: dict[str, Positive] | None = None,
        relative: dict[str, Relative] | None = None,
        na_values: list[str] | None = None,
        missing_labels: Literal["refuse", "keep"] = "refuse",
        windows: Windows | None = None,
        max_gap: Positive = 3.0,
        limits: Limits | None = None,
    ) -> None:
        folder, limits, notes = existing(root), limits or Limits(), list[str]()
        for key, names in (
            ("bands", bands),
            ("rates", rates),
            ("relative", relative),
            ("start", start),
            ("count", count),
        ):
            for name in names or {}:
                if name not in arrays:
                    raise DataError(f"data.source.{key}: no sensor {name!r}; there are {', '.join(arrays)}")
        if not arrays:
            raise DataError("data.source.arrays: none; expected {sensor: file}, such as {wrist: wrist.npy}")
        rows: pd.DataFrame | None = None
        if table is not None:
            rows, notes = read_table(given(folder, table, "data.source.table"), id, limits, na_values or ())
        sensors: dict[str, Sensor] = {}
        paths: dict[str, list[str]] = {}
        for name, place in arrays.items():
            called = (bands or {}).get(name)
            if "*" in place:
                found, samples = file_each(folder, place, axes, labels, limits, called)
                rows = samples if rows is None else _joined(rows, samples, id, place)
                paths[name] = list(samples["path"])
            else:
                file = ArrayFile(folder, place, limits)
                if axes in ("CT", "TC"):
                    where = [(part or {}).get(name) for part in (start, count)]
                    found = end_to_end(file, axes, *_extents(rows, where, f"{axes} of one array {place}"), called)
                else:
                    found = stacked(file, axes, called)
                    rows = columns_beside(file, len(found.lengths)) if rows is None else rows
                paths[name] = [file.path] * len(found.lengths)
            found.rate = (rates or {}).get(name)
            if change := (relative or {}).get(name):
                change.require(name, len(found.bands))
                found.load = change.of(found.load, name)
                found.bands = tuple(found.bands[c] for c in change.kept(len(found.bands)))
            sensors[name] = found
        assert rows is not None
        for name, sensor in sensors.items():
            if len(sensor.lengths) != len(rows):
                raise DataError(
                    f"{arrays[name]}: {len(sensor.lengths)} recordings, and {table or 'the first array'} has {len(rows)}; "
                    "expected a row a recording"
                )
        limits.count(str(folder), len(rows))
        made = _table(rows, id, paths)
        if table is not None and missing_labels == "refuse":
            made.attrs[COMPLETE] = dict.fromkeys(map(str, made.columns), "data.source.missing_labels")
        super().__init__(", ".join(arrays.values()), made, sensors, windows or Windows(), max_gap, limits)
        self.identity = (*self.identity, *((relative,) if relative else ()))
        # files that the fingerprint takes in besides `path`
        self.images = [c for c in self.samples if str(c).startswith("path_")]
        self.notes = [*notes, *([] if labels is None else labels.notes), *self.notes]


def _extents(rows: pd.DataFrame | None, columns: list[str | None], what: str) -> tuple[pd.Series, pd.Series]:
    """The columns that say where each recording begins, and how many steps it has."""
    start, count = columns
    if rows is None or start is None or count is None:
        raise DataError(
            f"data.source.axes={what}: expected data.source.table, and start and count with the columns that say where each "
            "recording lies"
        )
    for column in (start, count):
        require_column(rows, column, "data.source.table", "data.source.start and count")
    return rows[start], rows[count]


def _joined(rows: pd.DataFrame, samples: pd.DataFrame, id: str | None, place: str) -> pd.DataFrame:
    """The table's rows in the order of the files, whose names its column `id` has."""
    if id is None:
        raise DataError(f"data.source.table beside {place}: expected data.source.id, the column that names each file")
    require_column(rows, id, "data.source.table", "data.source.id")
    known = {str(name): i for i, name in enumerate(rows[id])}
    lacking = [name for name in samples["id"] if name.rpartition("/")[2] not in known and name not in known]
    if lacking:
        raise DataError(f"data.source.table: no row for {lacking[0]} of {place} ({len(lacking)} such files)")
    order = [known[name if name in known else name.rpartition("/")[2]] for name in samples["id"]]
    return rows.iloc[order].reset_index(drop=True)


def _table(rows: pd.DataFrame, id: str | None, paths: dict[str, list[str]]) -> pd.DataFrame:
    names = (
        rows[id].astype(str)
        if id
        else rows["id"]
        if "id" in rows
        else pd.Series([f"{i:06d}" for i in range(len(rows))])
    )
    if names.duplicated().any():
        raise DataError(f"data.source.id: recording {names[names.duplicated()].iloc[0]!r} is there twice")
    kept = rows[[c for c in rows if c not in ("id", "path", RECORDING, id)]].reset_index(drop=True)
    facts = {"path" if not k else f"path_{name}": found for k, (name, found) in enumerate(paths.items())}
    made = pd.DataFrame({RECORDING: [str(n) for n in names], **facts})
    table = pd.concat([made, kept], axis=1)
    table.attrs = dict(rows.attrs)
    return table
