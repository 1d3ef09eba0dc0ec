"""Series in one .npy or HDF5 file: headers at opening, values a recording at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from multimodal_lab.data.readers.folder import find, given, readable, table
from multimodal_lab.data.readers.labels import Labels
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.recordings import Sensor
from multimodal_lab.data.source import DataError, need_number
from multimodal_lab.types import Band


class ArrayFile:
    """`x.npy` or `x.h5:data/set` below a folder; `shape` by its header, `cut` reads a part."""

    def __init__(self, root: Path, place: str, limits: Limits) -> None:
        self.path, _, self.dataset = place.partition(":")
        self.file, self.name = given(root, self.path, "data.source.arrays"), place
        hdf5 = self.file.suffix.lower() in (".h5", ".hdf5")
        if hdf5 != bool(self.dataset) or not (hdf5 or self.file.suffix.lower() == ".npy"):
            raise DataError(f"data.source.arrays: {place}, expected FILE.npy, FILE.h5:DATASET or FOLDER/*.npy")
        if hdf5:
            from multimodal_lab.data.readers import hdf5_file

            with readable(self.path, "HDF5 file"), hdf5_file.open_file(self.file, self.path, 1) as file:
                data = hdf5_file.dataset(file, self.dataset, self.path)
                hdf5_file.claim(data, place, limits)
                self.shape, dtype = tuple(data.shape), data.dtype
        else:
            with readable(self.path, ".npy file"):
                data = np.load(self.file, mmap_mode="r", allow_pickle=False)
                self.shape, dtype = data.shape, data.dtype
        need_number(dtype, place)
        self.itemsize, self.limits = dtype.itemsize, limits
        if len(self.shape) < 2 or 0 in self.shape:
            raise DataError(f"{place}: shape {self.shape}, expected recordings, channels and steps")

    def claim(self, steps: int, rest: Sequence[int]) -> None:
        """`DataError` where one recording, `steps` times `rest`, is beyond the limits: it is read whole."""
        self.limits.check(self.name, itemsize=math.prod((max(1, steps), *rest, self.itemsize)))

    def cut(self, part: Any) -> np.ndarray:
        """The values of an index or slice of the first axis."""
        if self.dataset:
            from multimodal_lab.data.readers import hdf5_file

            with readable(self.path, "HDF5 file"), hdf5_file.open_file(self.file, self.path, 1) as file:
                return np.asarray(hdf5_file.dataset(file, self.dataset, self.path)[part])
        with readable(self.path, ".npy file"):
            return np.array(np.load(self.file, mmap_mode="r", allow_pickle=False)[part])


def stacked(file: ArrayFile, axes: str, names: list[str] | None) -> Sensor:
    """(N, C, T) or (N, T, C, …)."""
    _require_axes(file.shape, axes, file.name)
    count, rest = file.shape[0], file.shape[1:]
    file.claim(1, rest)
    channels, steps = _sizes(rest, axes[1:])
    return Sensor(_bands(names, channels, file.name), [steps] * count, lambda i: _bands_first(file.cut(i), axes[1:]))


def end_to_end(file: ArrayFile, axes: str, start: pd.Series, count: pd.Series, names: list[str] | None) -> Sensor:
    """(total T, C, …): recording i is `count[i]` steps from `start[i]` on."""
    if axes != "TC":
        raise DataError(f"data.source.axes={axes}: recordings that lie end to end have their steps first, expected TC")
    _require_axes(file.shape, axes, file.name)
    begins, sizes = (
        pd.to_numeric(c, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan) for c in (start, count)
    )
    total = file.shape[0]
    for i, (a, n) in enumerate(zip(begins, sizes, strict=True)):
        if not (a >= 0 and n >= 0 and a + n <= total and a == int(a) and n == int(n)):
            raise DataError(
                f"{file.name}: recording {i} is said to be {n:g} steps from {a:g} on, and the array has {total}"
            )
    channels, _ = _sizes(file.shape, axes)
    file.claim(int(sizes.max(initial=0)), file.shape[1:])

    def load(i: int) -> np.ndarray:
        return _bands_first(file.cut(slice(int(begins[i]), int(begins[i] + sizes[i]))), axes)

    return Sensor(_bands(names, channels, file.name), [int(n) for n in sizes], load)


def file_each(
    root: Path, place: str, axes: str, labels: Labels | None, limits: Limits, names: list[str] | None
) -> tuple[Sensor, pd.DataFrame]:
    """Every .npy file of a folder, with a table of them."""
    folder, last = PurePosixPath(place).parent, PurePosixPath(place).name
    if last != "*.npy":
        raise DataError(f"data.source.arrays: {place}, expected FILE.npy, FILE.h5:DATASET or FOLDER/*.npy")
    if axes not in ("CT", "TC"):
        raise DataError(f"data.source.axes={axes} of a file a recording ({place}), expected CT or TC")
    paths = [str(folder / p) if str(folder) != "." else p for p in find(root / folder, [".npy"])]
    limits.count(place, len(paths))
    files = [ArrayFile(root, path, limits) for path in paths]
    for file in files:
        _require_axes(file.shape, axes, file.name)
        file.claim(1, file.shape)
    sizes = [_sizes(file.shape, axes) for file in files]
    other = next((k for k, (c, _) in enumerate(sizes) if c != sizes[0][0]), None)
    if other is not None:
        raise DataError(
            f"{paths[other]}: {sizes[other][0]} channels, and {paths[0]} has {sizes[0][0]}; expected as many in every file"
        )
    samples = table(paths, [".npy"])
    made = samples if labels is None else labels(root, samples)
    sensor = Sensor(
        _bands(names, sizes[0][0], place), [t for _, t in sizes], lambda i: _bands_first(files[i].cut(...), axes)
    )
    return sensor, made


def columns_beside(file: ArrayFile, rows: int) -> pd.DataFrame:
    """The data sets of N values at the top of an HDF5 file; of another file, no column."""
    if not file.dataset:
        return pd.DataFrame(index=pd.RangeIndex(rows))
    from multimodal_lab.data.readers import hdf5_file

    with readable(file.path, "HDF5 file"), hdf5_file.open_file(file.file, file.path, 1) as opened:
        names = [k for k in opened if k != file.dataset and getattr(opened[k], "shape", None) == (rows,)]
        return pd.DataFrame({k: hdf5_file.column(opened, k, file.path, rows) for k in names}, index=pd.RangeIndex(rows))


def _require_axes(shape: tuple[int, ...], axes: str, name: str) -> None:
    if len(shape) < len(axes) or (len(shape) > len(axes) and not axes.endswith("C")):
        raise DataError(f"{name}: shape {shape}, expected {len(axes)} axes, data.source.axes={axes}")


def _sizes(shape: tuple[int, ...], axes: str) -> tuple[int, int]:
    """Channels and steps of (C, T) or (T, C, …)."""
    return (shape[0], shape[1]) if axes == "CT" else (int(np.prod(shape[1:])), shape[0])


def _bands_first(x: np.ndarray, axes: str) -> np.ndarray:
    return x if axes == "CT" else x.reshape(len(x), -1).T


def _bands(names: list[str] | None, channels: int, place: str) -> tuple[Band, ...]:
    names = [f"d{i:03d}" for i in range(channels)] if names is None else names
    if len(names) != channels:
        raise DataError(f"data.source.bands: {len(names)} names, and {place} has {channels} channels")
    return tuple(Band(name) for name in names)
