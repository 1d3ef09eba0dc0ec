"""The header of a TIFF file: how it holds its bands, checked before a pixel is decoded."""

from __future__ import annotations

import logging
import lzma
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile

from multimodal_lab.data.readers import gdal_metadata, geotiff, nodata, raster
from multimodal_lab.data.readers.folder import readable
from multimodal_lab.data.readers.limits import SMALL, Limits
from multimodal_lab.data.source import DataError, need_number

logging.getLogger("tifffile").setLevel(
    logging.CRITICAL + 1
)  # what is wrong with a file is reported once, as `DataError`

INFLATE: dict[int, Any] = {8: zlib.decompressobj, 32946: zlib.decompressobj, 34925: lzma.LZMADecompressor}
MOST = 8000  # times that a byte can swell; what stays below 64 MiB even so is not looked at
SLACK = 4096
REDUCED, MASK = 1, 4  # bits of NewSubfileType
# A description may name other files, or planes that none holds, which tifffile would follow or fill with zeros.
OWN_PAGES = {"is_ome": False, "is_mmstack": False, "is_ndtiff": False}
Layout = Literal["from_header", "bands_first", "bands_last"]


@dataclass(frozen=True)
class Header:
    """How one file holds its values: (C, H, W) if `bands_first`, else (H, W, C); from `offset` on if in one piece.

    Of what was not measured: the `nodata` value (or `why` the declared one is none), whether it is `sparse`, some strips or
    tiles never written, and the page of a mask as GDAL writes it. series: place of the image's among the file's. said: what
    GDAL's metadata say of the bands.
    """

    height: int
    width: int
    count: int
    dtype: np.dtype
    full_scale: float
    bands_first: bool
    pages: bool
    offset: int | None
    series: int = 0
    nodata: nodata.Value = None
    why: str = ""
    sparse: bool = False
    mask_page: int | None = None
    ground: geotiff.Ground | None = None
    by_rasterio: bool = False
    said: gdal_metadata.Said = field(default_factory=gdal_metadata.Said)


def read_header(
    file: Path, name: str, count: int, layout: Layout, limits: Limits, georeference: bool = False
) -> Header:
    """Check one file's header against the `count` of bands expected, the limits and the file's size.

    georeference: look for its place on the ground, too. A JPEG 2000, a VRT and a TIFF whose compression tifffile hasn't are
    read by rasterio.
    """
    if file.suffix.lower() in raster.SUFFIXES:
        return _by_rasterio(file, name, count, limits)
    with readable(name, "TIFF file"), tifffile.TiffFile(file, **OWN_PAGES) as tif:
        places = [i for i, s in enumerate(tif.series) if not _accessory(s)]
        if len(places) != 1:
            shapes = ", ".join(str(tif.series[i].shape) for i in places)
            raise DataError(
                f"{name}: images of {len(places)} different shapes ({shapes}), expected one of {count} bands"
            )
        series = tif.series[places[0]]
        pages = [p for p in series.pages if p is not None]
        _held(series, len(tif.pages), name)
        header = _parsed(series, pages, tif.byteorder, name, count, layout)
        if compression := _unsupported(pages[0].aspage(), name):
            raster.need(name, compression)
            return _by_rasterio(file, name, count, limits)
        if georeference:
            header = replace(header, ground=geotiff.of_page(tif.pages.first, name))
        limits.check(name, pixels=header.height * header.width, bands=header.count, itemsize=header.dtype.itemsize)
        masks = [i for i, p in enumerate(tif.pages) if len(tif.series) > 1 and _is_mask(p, header)]
        header = replace(header, series=places[0], mask_page=masks[0] if masks else None, **_declared(pages[0], header),
                         said=gdal_metadata.of_page(tif.pages.first, header.count, name))  # fmt: skip
        mask = [tif.pages[i].aspage() for i in masks[:1]]
        header = replace(header, sparse=_complete([*pages, *mask], header, file, name))
        _inflatable(mask, file, name)
        if header.offset is None:
            decoded = header.height * header.width * header.count * header.dtype.itemsize
            limits.swell(name, decoded, file.stat().st_size)
            _inflatable(pages, file, name)
        return header


def _accessory(series: Any) -> bool:
    """Whether all of its pages are overviews or masks of another image."""
    pages = [p.aspage() for p in series.pages[:1] if p is not None]
    return any(p.subfiletype & (REDUCED | MASK) for p in pages)


def _is_mask(page: Any, header: Header) -> bool:
    page = page.aspage()
    return bool(page.subfiletype & MASK) and page.shape[:2] == (header.height, header.width)


def _declared(page: Any, header: Header) -> dict[str, Any]:
    """The header's facts of GDAL's nodata tag."""
    tag = page.aspage().tags.get(nodata.TAG)
    value, why = (None, "") if tag is None else nodata.parsed(tag.value, header.dtype)
    return {"nodata": value, "why": why}


def _parsed(series: Any, pages: Sequence[Any], byteorder: str, name: str, count: int, layout: Layout) -> Header:
    shape, axes = tuple(series.shape), series.axes
    if layout != "from_header" and len(shape) == 3:
        axes = "CYX" if layout == "bands_first" else "YXC"
    if "Y" not in axes or axes[axes.index("Y") + 1 :][:1] != "X" or len(shape) > 3:
        raise DataError(f"{name}: axes {axes} of shape {shape}, expected {count} bands of one image")
    y = axes.index("Y")
    height, width = shape[y : y + 2]
    found = math.prod(shape) // (height * width)
    if found != count:
        hint = "; data.source.layout=bands_last if its bands come last" if shape[-1] == count else ""
        raise DataError(f"{name}: {found} bands ({axes} {shape}), expected {count} as in the card{hint}")
    dtype = np.dtype(series.dtype)
    need_number(dtype, name)
    bits = pages[0].bitspersample
    top = float(2**bits - 1) if dtype.kind == "u" else float(np.iinfo(dtype).max) if dtype.kind == "i" else 1.0
    by_page = y == 1 and layout == "from_header" and len(pages) == count
    return Header(
        height, width, count, dtype.newbyteorder(byteorder), top, y == 1 or count == 1, by_page, series.dataoffset
    )


def _held(series: Any, stored: int, name: str) -> None:
    """Refuse a description that promises more or fewer planes than the file holds: tifffile would make them up."""
    pages = [p for p in series.pages if p is not None]
    found, promised = sum(math.prod(p.shape) for p in pages), math.prod(series.shape)
    # ImageJ writes beyond 4 GB one page, then all planes in one piece.
    one_for_all = series.is_truncated and stored == 1
    if found != promised and not one_for_all:
        shapes = f"{tuple(series.shape)} by its {series.kind} description"
        raise DataError(
            f"{name}: {stored} pages of {tuple(pages[0].shape)}, expected {shapes}; write it anew without that"
        )


def _by_rasterio(file: Path, name: str, count: int, limits: Limits) -> Header:
    facts = raster.facts(file, name, limits)
    if facts.count != count:
        raise DataError(f"{name}: {facts.count} bands, expected {count} as in the card")
    top = float(np.iinfo(facts.dtype).max) if facts.dtype.kind in "iu" else 1.0
    value, why = (None, "") if facts.nodata is None else nodata.parsed(facts.nodata, facts.dtype)
    size = (facts.height, facts.width, count, facts.dtype, top)
    return Header(*size, True, False, None, nodata=value, why=why, ground=facts.ground, by_rasterio=True)


def _unsupported(page: Any, name: str) -> str:
    """The name of a compression that tifffile can't undo here, or ""."""
    if page.photometric.name in ("MINISWHITE", "PALETTE"):
        raise DataError(f"{name}: photometric interpretation {page.photometric.name}, expected MINISBLACK or RGB")
    try:
        tifffile.TIFF.DECOMPRESSORS[page.compression]
    except KeyError:
        return str(page.compression.name)
    return ""


def _complete(pages: Sequence[Any], header: Header, file: Path, name: str) -> bool:
    """Refuse a file that lacks bytes of its header's; whether some strips or tiles were never written, as GDAL leaves them."""
    sparse = False
    for page in pages:
        # A parser may fill with zeros what a header promises and the file doesn't hold.
        expected, found = math.prod(page.keyframe.chunked), sum(n > 0 for n in page.databytecounts)
        empty = sum(n == o == 0 for o, n in zip(page.dataoffsets, page.databytecounts))
        if found + empty != expected or len(page.dataoffsets) != expected:
            raise DataError(f"{name}: {found} strips or tiles with data, expected {expected} from its header")
        sparse |= empty > 0
    ends = [o + n for p in pages for o, n in zip(p.dataoffsets, p.databytecounts)]
    if header.offset is not None:
        ends.append(header.offset + header.count * header.height * header.width * header.dtype.itemsize)
    size = file.stat().st_size
    if max(ends, default=0) > size:
        raise DataError(f"{name}: truncated, {size:,} bytes, expected at least {max(ends):,} from its header")
    return sparse


def _inflatable(pages: Sequence[Any], file: Path, name: str) -> None:
    """Refuse a strip or tile that inflates to more than its share: a decoder inflates it whole before it looks."""
    with file.open("rb") as stream:
        for page in pages:
            make = INFLATE.get(int(page.keyframe.compression))
            share = math.prod(page.keyframe.chunks) * page.keyframe.dtype.itemsize
            for offset, count in zip(page.dataoffsets, page.databytecounts):
                if make is None or count * MOST < SMALL:  # none, or too little to swell
                    continue
                stream.seek(offset)
                if len(make().decompress(stream.read(count), share + SLACK)) >= share + SLACK:
                    raise DataError(f"{name}: a strip or tile holds more than the {share:,} bytes of its header")
