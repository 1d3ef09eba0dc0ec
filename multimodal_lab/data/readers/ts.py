"""Reader of .ts files, the format of the UEA & UCR archive (sktime, aeon): one recording a line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from multimodal_lab.bounds import Positive
from multimodal_lab.data.readers.clock import TimeUnit
from multimodal_lab.data.readers.delimited import decode
from multimodal_lab.data.readers.folder import existing, find, given, readable
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.recordings import RECORDING, Recordings, Sensor
from multimodal_lab.data.readers.ts_header import Header, header_of
from multimodal_lab.data.readers.ts_line import Line, cut, timed_values, values
from multimodal_lab.data.readers.windows import Windows
from multimodal_lab.data.source import DataError
from multimodal_lab.types import Band

PARTS = {"_train": "train", "_test": "test"}  # how the archive names the two files of a problem


class Ts(Recordings):
    """.ts files below `root`: lines `@key value`, `@data`, then a recording a line, `1,2,3:4,5,6:label`, dimension by dimension.

    files: names of files below root, null: all that there are. bands: names of the dimensions, in their order (d0, d1, …
    without). rate: Hz, which no such file tells. `?` is a value that was not measured; dimensions of one recording are equally
    long, recordings need not be. label: what the column of the class is called (of a number, after `@targetlabel true`).
    Column `split` is train or test where every file is called …_TRAIN.ts or …_TEST.ts.
    With `@timestamps true` a value stands with its time, `(0,1),(0.5,2):(0,3),(0.5,4):label`: numbers in `time_unit`, or dates
    and times of the day; all dimensions of a recording have the same. windows, max_gap: see `Recordings`.
    """

    def __init__(
        self,
        root: str,
        *,
        files: list[str] | None = None,
        bands: list[str] | None = None,
        rate: Positive | None = None,
        time_unit: TimeUnit = "s",
        unit: str = "",
        label: str = "label",
        windows: Windows | None = None,
        max_gap: Positive = 3.0,
        limits: Limits | None = None,
    ) -> None:
        folder, limits = existing(root), limits or Limits()
        if label in ("id", "path", RECORDING, "start", "split"):
            raise DataError(f"data.source.label: {label!r} is the reader's own column; choose another name")
        names = find(folder, [".ts"]) if files is None else files
        lines: list[Line] = []
        rows: list[dict[str, object]] = []
        first: tuple[str, Header] | None = None
        for name in names:
            path = given(folder, name, "data.source.files")
            limits.file(name, path)
            header, found, labels = _file(path, name, time_unit)
            if first and header.told() != first[1].told():
                raise DataError(
                    f"{name}: {header.told()}, and {first[0]} has {first[1].told()}; expected files of one problem "
                    "(data.source.files)"
                )
            first = first or (name, header)
            stem = Path(name).stem
            for k, (_, value) in enumerate(zip(found, labels, strict=True)):
                row: dict[str, object] = {RECORDING: f"{stem}/{k:04d}", "path": name}
                rows.append(row | ({} if value is None else {label: value}))
            lines += found
        assert first is not None
        times = [line.times for line in lines if line.times is not None] if first[1].timed else None
        if times is not None and rate is not None:
            raise DataError(
                f"data.source.rate: {rate:g} Hz, but {first[0]} has times of its own, which tell it (@timestamps true)"
            )
        limits.count(str(folder), len(rows))
        table = pd.DataFrame(rows)
        parts = [
            next((part for end, part in PARTS.items() if Path(n).stem.lower().endswith(end)), None) for n in table.path
        ]
        if None not in parts:
            table["split"] = parts
        made = _bands(bands, first[1].dimensions, unit, first[0])
        sensor = Sensor(made, [line.x.shape[1] for line in lines], lambda i: lines[i].x, rate, times)
        super().__init__(str(folder), table, {"series": sensor}, windows or Windows(), max_gap, limits)


def _bands(names: Sequence[str] | None, count: int, unit: str, file: str) -> tuple[Band, ...]:
    names = [f"d{i}" for i in range(count)] if names is None else names
    if len(names) != count:
        raise DataError(f"data.source.bands: {len(names)} names, and {file} has {count} dimensions")
    return tuple(Band(name, unit=unit) for name in names)


def _file(path: Path, name: str, unit: TimeUnit) -> tuple[Header, list[Line], list[object]]:
    """The header, the values of each recording, and its label (None without)."""
    with readable(name, ".ts file"):
        lines = decode(path.read_bytes())[0].splitlines()
    header, start = header_of(lines, name)
    found: list[Line] = []
    labels: list[object] = []
    for number, line in enumerate(lines[start:], start + 1):
        if not line.strip() or line.startswith("#"):
            continue
        where = f"{name}: line {number}"
        if "(" in line and not header.timed:
            raise DataError(f"{where}: values with times of their own, (time, value), expected @timestamps true above")
        parts = cut(line, header.timed)
        if header.label:
            label = parts.pop().strip()
            labels.append(header.value(label, where))
        else:
            labels.append(None)
        if len(parts) != header.dimensions:
            raise DataError(f"{where} has {len(parts)} dimensions, expected {header.dimensions}")
        one = timed_values(parts, unit, where) if header.timed else values(parts, where)
        if header.length is not None and one.x.shape[1] != header.length:
            raise DataError(f"{where} has {one.x.shape[1]} values, expected {header.length} (@seriesLength)")
        found.append(one)
    if not found:
        raise DataError(f"{name}: no recording below @data")
    return header, found, labels
