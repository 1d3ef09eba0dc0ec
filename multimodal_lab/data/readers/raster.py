"""Rasters that tifffile can't decode: JPEG 2000, VRT, other compressions of TIFF. Read by rasterio, the extra `geo`."""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_lab.data.readers.folder import inside, readable
from multimodal_lab.data.readers.geotiff import Ground, placed
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.source import DataError, need_number
from multimodal_lab.text import install_command

DRIVERS = {".jp2": "JP2OpenJPEG", ".vrt": "VRT"}
SUFFIXES = tuple(DRIVERS)
LARGEST_VRT = 1 << 20  # bytes: a mosaic of thousands of files
# A VRT may name any file or address and run code; these parts alone place rectangles of files by its side.
VRT_BANDS, VRT_SOURCES = {"VRTRasterBand"}, {"SimpleSource", "ComplexSource"}
VRT_REFUSED = {"PixelFunctionType", "OpenOptions", "MaskBand"}


@dataclass(frozen=True)
class Facts:
    """What a raster's header says; see `tiff_header.Header`."""

    height: int
    width: int
    count: int
    dtype: np.dtype
    nodata: float | None
    ground: Ground | None


def installed() -> bool:
    """Whether the extra is there."""
    return importlib.util.find_spec("rasterio") is not None


def cure() -> str:
    """What to install."""
    return f"`{install_command('geo')}`"


def facts(file: Path, name: str, limits: Limits) -> Facts:
    """The header of one raster, checked against the limits; `DataError` where rasterio is not installed."""
    if not installed():
        raise DataError(f"{name}: a {file.suffix[1:].upper()} is read by rasterio, which is not installed: {cure()}")
    if file.suffix.lower() == ".vrt":
        vrt_sources(file, name, limits)
    with _opened(file, name) as raster:
        kinds = {np.dtype(d) for d in raster.dtypes}
        if len(kinds) > 1:
            raise DataError(f"{name}: bands of types {', '.join(sorted(map(str, kinds)))}, expected one")
        dtype = kinds.pop()
        need_number(dtype, name)
        limits.check(name, pixels=raster.height * raster.width, bands=raster.count, itemsize=dtype.itemsize)
        if file.suffix.lower() != ".vrt":
            limits.swell(name, raster.height * raster.width * raster.count * dtype.itemsize, file.stat().st_size)
        place = (
            placed(raster.crs.to_string(), tuple(raster.transform)[:6], raster.height, raster.width)
            if raster.crs
            else None
        )
        return Facts(raster.height, raster.width, raster.count, dtype, raster.nodata, place)


def need(name: str, compression: str) -> None:
    """`DataError` for a compression that only an extra undoes, where none is installed."""
    if not installed():
        raise DataError(f"{name}: compressed by {compression}, which needs `pip install imagecodecs` or {cure()}")


def read_rows(file: Path, name: str, first: int, end: int) -> np.ndarray:
    """Rows `first` to `end` of all bands, (C, end - first, W)."""
    with _opened(file, name) as raster:
        return np.asarray(raster.read(window=((first, end), (0, raster.width))))


def read(file: str, name: str, wanted: Sequence[int]) -> np.ndarray:
    """The `wanted` bands, counted from 0, as (C, H, W); `DataError` if the file can't be decoded."""
    with _opened(Path(file), name) as raster:
        return np.asarray(raster.read([i + 1 for i in wanted]))


@contextmanager
def _opened(file: Path, name: str) -> Iterator[Any]:
    """The raster, by the driver of its suffix alone, from the local disk alone, without files by its side."""
    import rasterio

    driver = DRIVERS.get(file.suffix.lower(), "GTiff")
    with (
        readable(name, f"{driver} file"),
        rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO", GDAL_VRT_ENABLE_PYTHON="NO"),
        rasterio.open(str(file.resolve()), driver=driver, sharing=False) as raster,
    ):
        yield raster


def vrt_sources(file: Path, name: str, limits: Limits) -> list[Path]:
    """The files that a VRT is made of; `DataError` for one that does more than to place rectangles of TIFF and JPEG 2000 files
    of its own folder or below it.
    """
    if file.stat().st_size > LARGEST_VRT:
        raise DataError(f"{name}: a VRT of {file.stat().st_size:,} bytes, expected at most {LARGEST_VRT:,}")
    text = file.read_bytes()
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise DataError(f"{name}: a VRT with a document type, expected plain elements")
    with readable(name, "VRT"):
        tree = ElementTree.fromstring(text)
    if tree.tag != "VRTDataset" or tree.get("subClass"):
        raise DataError(f"{name}: a {tree.get('subClass') or tree.tag}, expected a VRTDataset that places files")
    for part in tree.iter():
        own = part.get("subClass") if part.tag in VRT_BANDS else None
        other = part.tag.endswith("Source") and part.tag not in VRT_SOURCES
        if own or other or part.tag in VRT_REFUSED:
            raise DataError(f"{name}: a VRT with {own or part.tag}, expected only {' and '.join(sorted(VRT_SOURCES))}")
    found = []
    for source in tree.iter("SourceFilename"):
        if source.get("relativeToVRT") != "1":
            raise DataError(f"{name}: its source {source.text!r} is not relative to the VRT (relativeToVRT=1)")
        path = inside(file.parent.resolve(), source.text, name)
        if path.suffix.lower() not in (".tif", ".tiff", ".jp2"):
            raise DataError(f"{name}: its source {source.text!r} is no TIFF or JPEG 2000")
        limits.file(name, path)
        found.append(path)
    return found
