"""Scenes of any size, read some rows at a time: GeoTIFF, ENVI, .npy, HDF5 and .mat."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from multimodal_lab.data.readers import geotiff, matlab
from multimodal_lab.data.readers.envi import ALSO, SUFFIXES
from multimodal_lab.data.readers.envi_header import read_header
from multimodal_lab.data.readers.folder import readable
from multimodal_lab.data.readers.hdf5_file import dataset, open_file
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.source import DataError, need_number
from multimodal_lab.predict.raster import Raster
from multimodal_lab.predict.tiff_rows import tiff

Axes = Literal["hwc", "chw"]
# A scene is read by rows, so that its size is no danger: what is bounded is what a header may claim.
LIMITS = Limits(pixels=100_000_000_000, bytes=1 << 46, bands=10_000, samples=1, ratio=200)


def opened(path: Path, axes: Axes = "hwc", key: str | None = None) -> Raster:
    """The scene in a file, its header alone read. axes: of an .npy, HDF5 or .mat array. key: its name in HDF5 or .mat.

    `DataError` for a file that is none, of another type, or without a plain array of three axes.
    """
    if not path.is_file():
        raise DataError(f"{path}: {'no file' if path.exists() else 'not there'}")
    suffix = path.suffix.lower()
    if suffix in (".tif", ".tiff"):
        return tiff(path)
    if suffix == ".npy":
        with readable(path.name, ".npy file of plain numbers"):
            return _of_array(path.name, np.load(path, mmap_mode="r", allow_pickle=False), axes)
    if suffix in (".h5", ".hdf5"):
        return _hdf5(path, key, axes)
    if suffix == ".mat":
        return _of_array(path.name, matlab.load(path, key, Limits()), axes)
    if suffix in (*SUFFIXES, *ALSO, ""):
        header = read_header(path, path.name, {}, LIMITS)
        cube = header.cube(path)
        every = range(header.count)
        dtype = np.dtype(np.float32) if header.scale else header.dtype
        names = header.names if header.named else ()
        nodata = None if header.scale else header.nodata
        geo = () if header.ground is None else geotiff.tags(header.ground)
        return Raster(
            path.name, header.lines, header.samples, header.count, dtype.newbyteorder("="),
            lambda first, end: header.values(np.ascontiguousarray(cube[:, first:end]), every), names, nodata,
            geo, header.nowhere,
        )  # fmt: skip
    known = ", ".join([".tif", ".npy", ".h5", ".mat", *SUFFIXES])
    raise DataError(f"{path.name}: found {suffix}, expected {known}")


def _of_array(name: str, values: Any, axes: Axes) -> Raster:
    """Of an array in memory or in a file; rows are sliced from it."""
    if len(values.shape) != 3:
        raise DataError(f"{name}: an array of shape {tuple(values.shape)}, expected three axes, {axes}")
    need_number(np.dtype(values.dtype), name)
    size = dict(zip(axes, values.shape))
    first_band = axes == "chw"

    def rows(first: int, end: int) -> np.ndarray:
        found = np.asarray(values[:, first:end] if first_band else values[first:end])
        return found if first_band else np.moveaxis(found, 2, 0)

    return Raster(name, size["h"], size["w"], size["c"], np.dtype(values.dtype).newbyteorder("="), rows)


def _hdf5(path: Path, key: str | None, axes: Axes) -> Raster:
    if key is None:
        raise DataError(f"{path.name}: which data set? name it: key=NAME")
    with readable(path.name, "HDF5 file"):
        return _of_array(path.name, dataset(open_file(path, path.name, 64), key, path.name), axes)
