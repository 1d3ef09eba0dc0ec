"""Rows of a TIFF of any size: by memory map, strip by strip or tile by tile, or by rasterio where tifffile can't decode."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from multimodal_lab.data.readers import gdal_metadata, geotiff, nodata, raster
from multimodal_lab.data.readers.folder import readable
from multimodal_lab.data.readers.tiff_header import OWN_PAGES
from multimodal_lab.data.source import DataError, need_number
from multimodal_lab.predict.raster import Raster

GEO = tuple(sorted((*geotiff.TAGS, 34736)))  # and the numbers of the projection's keys


def tiff(path: Path) -> Raster:
    """The first image of a TIFF; `DataError` for one that holds no bands of one size."""
    with readable(path.name, "TIFF file"):
        file = tifffile.TiffFile(path, **OWN_PAGES)
        series = file.series[0]
        pages: list[Any] = [p.aspage() for p in series.pages if p is not None]
    first = pages[0]
    height, width = int(first.imagelength), int(first.imagewidth)
    separate = first.samplesperpixel > 1 and first.planarconfig == 2
    inner = int(first.samplesperpixel)
    if (
        any((p.imagelength, p.imagewidth, p.dtype) != (height, width, first.dtype) for p in pages)
        or first.imagedepth != 1
    ):
        raise DataError(
            f"{path.name}: a series of shape {series.shape} ({series.axes}), expected the bands of one image"
        )
    dtype = np.dtype(first.dtype).newbyteorder("=")
    need_number(dtype, path.name)
    count = inner * len(pages)
    tag = first.tags.get(nodata.TAG)
    value = None if tag is None else nodata.parsed(tag.value, dtype)[0]
    rows = _mapped(path, file, series, pages, (height, width, inner), separate)
    if rows is None:
        rows = _decoded(path, file, pages, separate) if _known(first) else _by_rasterio(path, first)
    geo = tuple(
        (t.code, int(t.dtype), t.count, t.value, True) for code in GEO if (t := first.tags.get(code)) is not None
    )
    return Raster(path.name, height, width, count, dtype, rows, _names(first, count, path.name), value, geo)


def _names(page: Any, count: int, name: str) -> tuple[str, ...]:
    """The descriptions of all bands, as GDAL writes them; () unless each has one of its own."""
    names = gdal_metadata.of_page(page, count, name).names
    return names if all(names) and len(set(names)) == count else ()


def _mapped(
    path: Path, file: Any, series: Any, pages: list[Any], shape: tuple[int, int, int], separate: bool
) -> Callable[[int, int], np.ndarray] | None:
    """By memory map, where the pixels lie in one piece."""
    height, width, inner = shape
    if series.dataoffset is None:
        return None
    stored = np.dtype(pages[0].dtype).newbyteorder(file.byteorder)
    first = separate or inner == 1
    whole = (inner * len(pages), height, width) if first else (len(pages), height, width, inner)
    values = np.memmap(path, stored, "r", series.dataoffset, whole)

    def rows(start: int, end: int) -> np.ndarray:
        if first:
            return np.ascontiguousarray(values[:, start:end], dtype=stored.newbyteorder("="))
        cut = np.moveaxis(values[:, start:end], 3, 1).reshape(-1, end - start, width)
        return np.ascontiguousarray(cut, dtype=stored.newbyteorder("="))

    return rows


def _known(page: Any) -> bool:
    try:
        return bool(tifffile.TIFF.DECOMPRESSORS[page.compression])
    except KeyError:
        return False


def _decoded(path: Path, file: Any, pages: list[Any], separate: bool) -> Callable[[int, int], np.ndarray]:
    """Strip by strip or tile by tile: those that the rows lie in."""
    first = pages[0]
    high, wide = (first.tilelength, first.tilewidth) if first.is_tiled else (first.rowsperstrip, first.imagewidth)
    across = -(-first.imagewidth // wide)
    down = -(-first.imagelength // high)
    inner = int(first.samplesperpixel)

    def segment(page: Any, index: int) -> np.ndarray:
        offset, size = page.dataoffsets[index], page.databytecounts[index]
        data = None
        if size:
            file.filehandle.seek(offset)
            data = file.filehandle.read(size)
        found, _, shape = page.decode(data, index)
        if found is None:  # never written
            found = np.full(shape, page.nodata, page.dtype)
        pixels: np.ndarray = np.asarray(found)[0]
        return pixels

    def rows(start: int, end: int) -> np.ndarray:
        out = np.empty((inner * len(pages), end - start, first.imagewidth), np.dtype(first.dtype).newbyteorder("="))
        for p, page in enumerate(pages):
            for plane in range(inner if separate else 1):
                for j in range(start // high, -(-end // high)):
                    for i in range(across):
                        part = segment(page, (plane * down + j) * across + i)  # (h, w, samples)
                        top, left = j * high, i * wide
                        low, stop = max(start, top), min(end, top + part.shape[0])
                        right = min(left + part.shape[1], first.imagewidth)
                        cut = np.moveaxis(part[low - top : stop - top, : right - left], 2, 0)
                        band = p * inner + plane
                        out[band : band + len(cut), low - start : stop - start, left:right] = cut
        return out

    return rows


def _by_rasterio(path: Path, page: Any) -> Callable[[int, int], np.ndarray]:
    raster.need(path.name, page.compression.name)
    return partial(raster.read_rows, path, path.name)
