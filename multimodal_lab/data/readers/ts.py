"""Reader of .ts files, the format of the UEA & UCR archive (sktime, aeon): one recording a line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from multimodal_lab.bounds import Positive
from multimodal_lab.data.readers.delimited import decode
from multimodal_lab.data.readers.folder import existing, find, given, readable
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.recordings import RECORDING, Recordings, Sensor
from multimodal_lab.data.readers.ts_header import Header, header_of
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
    Recordings with their own times are refused. windows, max_gap: see `Recordings`.
    """

    def __init__(
        self,
        root: str,
        *,
        files: list[str] | None = None,
        bands: list[str] | None = None,
        rate: Positive | None = None,
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
        values: list[np.ndarray] = []
        rows: list[dict[str, object]] = []
        first: tuple[str, Header] | None = None
        for name in names:
            path = given(folder, name, "data.source.files")
            limits.file(name, path)
            header, found, labels = _file(path, name)
            if first and (header.dimensions, header.label) != (first[1].dimensions, first[1].label):
                raise DataError(
                    f"{name}: {header.told()}, and {first[0]} has {first[1].told()}; expected files of one problem "
                    "(data.source.files)"
                )
            first = first or (name, header)
            stem = Path(name).stem
            for k, (_, value) in enumerate(zip(found, labels, strict=True)):
                row: dict[str, object] = {RECORDING: f"{stem}/{k:04d}", "path": name}
                rows.append(row | ({} if value is None else {label: value}))
            values += found
        assert first is not None
        limits.count(str(folder), len(rows))
        table = pd.DataFrame(rows)
        parts = [
            next((part for end, part in PARTS.items() if Path(n).stem.lower().endswith(end)), None) for n in table.path
        ]
        if None not in parts:
            table["split"] = parts
        sensor = Sensor(
            _bands(bands, first[1].dimensions, unit, first[0]), [x.shape[1] for x in values], values.__getitem__, rate
        )
        super().__init__(str(folder), table, {"series": sensor}, windows or Windows(), max_gap)


def _bands(names: Sequence[str] | None, count: int, unit: str, file: str) -> tuple[Band, ...]:
    names = [f"d{i}" for i in range(count)] if names is None else names
    if len(names) != count:
        raise DataError(f"data.source.bands: {len(names)} names, and {file} has {count} dimensions")
    return tuple(Band(name, unit=unit) for name in names)


def _file(path: Path, name: str) -> tuple[Header, list[np.ndarray], list[object]]:
    """The header, (C, T) float32 of each recording, and its label (None without)."""
    with readable(name, ".ts file"):
        lines = decode(path.read_bytes())[0].splitlines()
    header, start = header_of(lines, name)
    values: list[np.ndarray] = []
    labels: list[object] = []
    for number, line in enumerate(lines[start:], start + 1):
        if not line.strip() or line.startswith("#"):
            continue
        where = f"{name}: line {number}"
        if "(" in line:
            raise DataError(
                f"{where}: values with times of their own, (time, value), are not read; expected @timestamps false"
            )
        parts = line.split(":")
        if header.label:
            label = parts.pop().strip()
            labels.append(header.value(label, where))
        else:
            labels.append(None)
        if len(parts) != header.dimensions:
            raise DataError(f"{where} has {len(parts)} dimensions, expected {header.dimensions}")
        series = [_numbers(part, where) for part in parts]
        if len({len(s) for s in series}) > 1:
            lengths = ", ".join(str(len(s)) for s in series)
            raise DataError(f"{where}: its dimensions have {lengths} values, expected one length in a recording")
        if header.length is not None and len(series[0]) != header.length:
            raise DataError(f"{where} has {len(series[0])} values, expected {header.length} (@seriesLength)")
        values.append(np.stack(series))
    if not values:
        raise DataError(f"{name}: no recording below @data")
    return header, values, labels


def _numbers(text: str, where: str) -> np.ndarray:
    words = text.split(",")
    try:
        return np.array([np.nan if w.strip() in ("?", "NaN") else float(w) for w in words], dtype=np.float32)
    except ValueError:
        bad = next(w for w in words if not _is_number(w))
        raise DataError(f"{where}: {bad.strip()[:40]!r}, expected a number, or ? where nothing was measured") from None


def _is_number(word: str) -> bool:
    try:
        float(word.replace("?", "nan"))
    except ValueError:
        return False
    return True
