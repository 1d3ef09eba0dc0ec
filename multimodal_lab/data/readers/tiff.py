"""Reader of multi-band TIFF, one file per sample."""

from __future__ import annotations

import logging
import lzma
import math
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile

from multimodal_lab.data.readers import nodata, tiles
from multimodal_lab.data.readers.card import mask_from_band, pixel_bands, requested_bands, select_planes
from multimodal_lab.data.readers.folder import existing, find, headers, readable, readable_header, sized
from multimodal_lab.data.readers.labels import Labels, labelled
from multimodal_lab.data.readers.limits import SMALL, Limits
from multimodal_lab.data.source import Card, DataError, Raw, need_number
from multimodal_lab.data.streams.bands import need_kind
from multimodal_lab.types import Band, Stream

logging.getLogger("tifffile").setLevel(
    logging.CRITICAL + 1
)  # what is wrong with a file is reported once, as `DataError`

SUFFIXES = (".tif", ".tiff")
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
    tiles never written, and the page of a mask as GDAL writes it. series: place of the image's among the file's.
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


class Tiff:
    """Every .tif and .tiff below `root`: planar, pixel-interleaved or one page per band, 8 or 16 bit or float.

    `card` names all bands in stored order; its mask band becomes the mask. Opening reads headers only and raises
    `DataError` for a truncated file, another number of bands than the card's, or another type than the first file's.
    `layout` overrides which axis of a three-axis file counts bands. Files that are neither compressed nor tiled are
    read by offset, only the bands asked for. Missing are pixels of the nodata value (GDAL's tag 42113, or the card's),
    outside an internal mask, and in strips or tiles that were never written; overviews are passed over. on_error: as in
    `Data`; unless it is `raise`, a file with a bad header is told when it is read.
    """

    def __init__(
        self,
        root: str,
        *,
        card: Card,
        labels: Labels | None = None,
        layout: Layout = "from_header",
        limits: Limits | None = None,
        on_error: Literal["raise", "skip", "substitute"] = "raise",
    ) -> None:
        self.root = existing(root)
        self.card = card
        self.bands: tuple[Band, ...] = pixel_bands(card)
        limits = limits or Limits()
        paths = find(self.root, SUFFIXES)

        def read(path: str, first: tuple[str, Header] | None) -> Header:
            header = read_header(self.root / path, path, len(card.bands), layout, limits)
            if first and header.dtype != first[1].dtype:
                raise DataError(f"{path}: values of type {header.dtype}, expected {first[1].dtype} as in {first[0]}")
            return header

        self._headers = headers(paths, read, on_error)
        self.samples, self.notes = labelled(self.root, sized(paths, SUFFIXES, self._headers), labels)
        stored = [b.name for b in card.bands]
        self._stored = [stored.index(b.name) for b in self.bands]
        good = [(p, h) for p, h in zip(paths, self._headers) if isinstance(h, Header)]
        nodata.check(card, self._stored, good[0][1].dtype)
        if card.nodata is None:
            self.notes = [*self.notes, *nodata.notes([(p, h.why) for p, h in good if h.why], len(paths))]
        self._paths, self._files = paths, [str(self.root / p) for p in paths]
        self._mask_at = [] if card.mask_band is None else [stored.index(card.mask_band)]
        tiles.mark(self)

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """The bands of `streams` as stored, the mask, and what is missing; damage or a grey mask is a `DataError`."""
        path = self._paths[index]
        need_kind(streams, ["image"], path)
        needed, places = requested_bands(self.bands, streams)
        header = readable_header(self._headers[index])
        values = read_bands(self._files[index], path, header, [*(self._stored[i] for i in needed), *self._mask_at])
        mask = mask_from_band(values[-1], self.card, path) if self._mask_at else None
        missing = self._missing(index, values[: len(needed)], [self._stored[i] for i in needed], header)
        gone = {} if missing is None else {name: select_planes(missing, p) for name, p in places.items()}
        return Raw({name: select_planes(values, p) for name, p in places.items()}, mask, header.full_scale, gone)

    def _missing(self, index: int, values: np.ndarray, stored: list[int], header: Header) -> np.ndarray | None:
        """(C, H, W) bool of the bands read; None where all was measured."""
        found = nodata.missing(values, nodata.of_bands(self.card, stored, header.nodata))
        if (header.sparse or header.mask_page is not None) and self.card.nodata != "ignore":
            found = np.zeros(values.shape, dtype=bool) if found is None else found
            found |= unwritten(self._files[index], self._paths[index], header)[stored]
        return found


def read_header(file: Path, name: str, count: int, layout: Layout, limits: Limits) -> Header:
    """Check one file's header against the `count` of bands expected, the limits and the file's size."""
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
        _supported(pages[0].aspage(), name)
        limits.check(name, pixels=header.height * header.width, bands=header.count, itemsize=header.dtype.itemsize)
        masks = [i for i, p in enumerate(tif.pages) if len(tif.series) > 1 and _is_mask(p, header)]
        header = replace(header, series=places[0], mask_page=masks[0] if masks else None, **_declared(pages[0], header))
        mask = [tif.pages[i].aspage() for i in masks[:1]]
        header = replace(header, sparse=_complete([*pages, *mask], header, file, name))
        _inflatable(mask, file, name)
        if header.offset is None:
            decoded = header.height * header.width * header.count * header.dtype.itemsize
            limits.swell(name, decoded, file.stat().st_size)
            _inflatable(pages, file, name)
        return header


def read_bands(file: str, name: str, header: Header, wanted: Sequence[int]) -> np.ndarray:
    """The `wanted` bands as (C, H, W) in native byte order; `DataError` if the file can't be decoded."""
    shape = (header.count, header.height, header.width)
    with readable(name, "TIFF file: its pixels can't be decoded"):
        if header.offset is not None:
            values = _by_offset(file, header, wanted)
        elif header.pages:
            with tifffile.TiffFile(file, **OWN_PAGES) as tif:
                values = np.stack([tif.series[header.series].pages[i].asarray() for i in wanted])
        else:
            with tifffile.TiffFile(file, **OWN_PAGES) as tif:
                whole = tif.asarray(series=header.series)
            planes = (
                whole.reshape(shape) if header.bands_first else np.moveaxis(whole.reshape(*shape[1:], shape[0]), 2, 0)
            )
            values = planes[list(wanted)]
    return np.ascontiguousarray(values, dtype=header.dtype.newbyteorder("="))


def unwritten(file: str, name: str, header: Header) -> np.ndarray:
    """(C, H, W) bool: outside the internal mask, or in a strip or tile that has no bytes."""
    found = np.zeros((header.count, header.height, header.width), dtype=bool)
    with readable(name, "TIFF file: its mask can't be decoded"), tifffile.TiffFile(file, **OWN_PAGES) as tif:
        if header.mask_page is not None:
            found |= tif.pages[header.mask_page].asarray() == 0
        if header.sparse:
            parts = [_holes(p) for p in tif.series[header.series].pages]
            holes = parts[0] if len(parts) == 1 else np.concatenate(parts)
            found |= holes if len(holes) in (1, header.count) else np.moveaxis(holes, -1, 0)
    return found


def _holes(page: Any) -> np.ndarray:
    """(1 or C, H, W) bool of one page, True in strips and tiles that were never written."""
    page = page.aspage()
    gone = (np.array(page.databytecounts) == 0).reshape(page.chunked)
    for axis, length in enumerate(page.chunks, gone.ndim - len(page.chunks)):
        gone = gone.repeat(length, axis)
    gone = gone[tuple(slice(0, n) for n in page.shape)]
    interleaved = gone.ndim == 3 and page.axes.endswith("S")
    return np.asarray(gone[..., :1].transpose(2, 0, 1) if interleaved else gone.reshape(-1, *gone.shape[-2:]))


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


def _supported(page: Any, name: str) -> None:
    if page.photometric.name in ("MINISWHITE", "PALETTE"):
        raise DataError(f"{name}: photometric interpretation {page.photometric.name}, expected MINISBLACK or RGB")
    try:
        tifffile.TIFF.DECOMPRESSORS[page.compression]
    except KeyError as error:
        raise DataError(
            f"{name}: compressed by {page.compression.name}, which needs `pip install imagecodecs`"
        ) from error


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


def _by_offset(file: str, header: Header, wanted: Sequence[int]) -> np.ndarray:
    """The wanted bands by `pread`, one call for bands side by side; of pixel-interleaved files the whole image."""
    height, width, item = header.height, header.width, header.dtype.itemsize
    descriptor = os.open(file, os.O_RDONLY)
    try:
        if not header.bands_first:
            whole = np.empty((height, width, header.count), header.dtype)
            _fill(descriptor, whole, header.offset or 0)
            return whole.transpose(2, 0, 1)[list(wanted)]
        out = np.empty((len(wanted), height, width), header.dtype)
        start = 0
        for stop in range(1, len(wanted) + 1):
            if stop == len(wanted) or wanted[stop] != wanted[stop - 1] + 1:
                _fill(descriptor, out[start:stop], (header.offset or 0) + wanted[start] * height * width * item)
                start = stop
        return out
    finally:
        os.close(descriptor)


def _fill(descriptor: int, out: np.ndarray, offset: int) -> None:
    view, done = out.reshape(-1).view(np.uint8).data, 0
    while done < len(view):
        got = os.preadv(descriptor, [view[done:]], offset + done)
        if not got:
            raise DataError(f"truncated while it was read: {done:,} of {len(view):,} bytes from {offset:,} on")
        done += got
