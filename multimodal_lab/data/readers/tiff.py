"""Reader of multi-band TIFF, one file per sample."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import tifffile

from multimodal_lab.data.readers import coordinates, gdal_metadata, nodata, raster, tiles
from multimodal_lab.data.readers.card import mask_from_band, pixel_bands, requested_bands, select_planes
from multimodal_lab.data.readers.folder import existing, find, readable
from multimodal_lab.data.readers.gdal_metadata import Described
from multimodal_lab.data.readers.headers import LazyHeaders, Verify, headers, readable_header, sized
from multimodal_lab.data.readers.labels import Labels, labelled
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.tiff_header import OWN_PAGES, Header, Layout, read_header
from multimodal_lab.data.source import Card, DataError, Raw
from multimodal_lab.data.streams.bands import need_kind
from multimodal_lab.types import Band, Stream

SUFFIXES = (".tif", ".tiff")


class Tiff:
    """Every .tif and .tiff below `root`: planar, pixel-interleaved or one page per band, 8 or 16 bit or float.

    `card` names all bands in stored order; its mask band becomes the mask. Opening reads headers only and raises
    `DataError` for a truncated file, another number of bands than the card's, or another type than the first file's.
    `layout` overrides which axis of a three-axis file counts bands. Files that are neither compressed nor tiled are
    read by offset, only the bands asked for. Missing are pixels of the nodata value (GDAL's tag 42113, or the card's),
    outside an internal mask, and in strips or tiles that were never written; overviews are passed over. georeference: the
    columns of `coordinates` by the tags of GeoTIFF; neighbours are known by these then, not by names. described: `check`
    holds GDAL's descriptions, scales and offsets of the bands against the card, see `gdal_metadata.require`. on_error, verify: as
    in `Data`; unless the first is `raise`, a file with a bad header is told when it is read.
    """

    beside: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        root: str,
        *,
        card: Card,
        labels: Labels | None = None,
        layout: Layout = "from_header",
        limits: Limits | None = None,
        on_error: Literal["raise", "skip", "substitute"] = "raise",
        verify: Verify = "all",
        georeference: bool = False,
        described: Described = "check",
    ) -> None:
        self.root = existing(root)
        self.card, self.georeference, self.described = card, georeference, described
        self.bands: tuple[Band, ...] = pixel_bands(card)
        self.limits, self.layout = limits or Limits(), layout
        paths = find(self.root, SUFFIXES)
        self._headers = headers(paths, self._header, on_error, verify)
        self.samples, self.notes = labelled(self.root, sized(paths, SUFFIXES, self._headers), labels)
        stored = [b.name for b in card.bands]
        self._stored = [stored.index(b.name) for b in self.bands]
        waiting = self._headers if isinstance(self._headers, LazyHeaders) else None
        read_now = [waiting.first] if waiting else zip(paths, self._headers)  # type: ignore[arg-type]  # else a list
        good = [(p, h) for p, h in read_now if isinstance(h, Header)]
        nodata.check(card, self._stored, good[0][1].dtype)
        self.notes = [*self.notes, *gdal_metadata.note(good[0][1].said, card.bands[0].unit)]
        if card.nodata is None:
            self.notes = [*self.notes, *nodata.notes([(p, h.why) for p, h in good if h.why], len(paths))]
        self.notes = [*self.notes, waiting.note()] if waiting else self.notes
        self._paths, self._files = paths, [str(self.root / p) for p in paths]
        self._mask_at = [] if card.mask_band is None else [stored.index(card.mask_band)]
        if georeference:
            coordinates.need_headers(self._headers)
            grounds = [getattr(h, "ground", None) for h in self._headers]  # type: ignore[union-attr]  # a list
            self.samples, told = coordinates.located(self.samples, grounds)
            self.notes = [*self.notes, *told]
        tiles.mark(self)

    def _header(self, path: str, first: tuple[str, Header] | None) -> Header:
        header = read_header(self.root / path, path, len(self.card.bands), self.layout, self.limits, self.georeference)
        if first and header.dtype != first[1].dtype:
            raise DataError(f"{path}: values of type {header.dtype}, expected {first[1].dtype} as in {first[0]}")
        if self.described == "check":
            gdal_metadata.require(header.said, self.card.bands, path, "data.source.card.bands")
        if first:
            gdal_metadata.require_same(header.said, first[1].said, path, first[0])
        return header

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
        values_of = nodata.of_bands(self.card, stored, header.nodata)
        return unmeasured(self._files[index], self._paths[index], header, values, stored, values_of, self.card)


def read_bands(file: str, name: str, header: Header, wanted: Sequence[int]) -> np.ndarray:
    """The `wanted` bands as (C, H, W) in native byte order; `DataError` if the file can't be decoded."""
    shape = (header.count, header.height, header.width)
    if header.by_rasterio:
        return raster.read(file, name, wanted)
    with readable(name, "TIFF file: its pixels can't be decoded"):
        if header.offset is not None:
            values = _by_offset(file, name, header, wanted)
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


def unmeasured(
    file: str, name: str, header: Header, values: np.ndarray, stored: list[int], gone: list[nodata.Value], card: Card
) -> np.ndarray | None:
    """(C, H, W) bool of `values`, the bands `stored` of one file, whose nodata values are `gone`; None where all was measured."""
    found = nodata.missing(values, gone)
    if (header.sparse or header.mask_page is not None) and card.nodata != "ignore":
        found = np.zeros(values.shape, dtype=bool) if found is None else found
        found |= unwritten(file, name, header)[stored]
    return found


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


def _by_offset(file: str, name: str, header: Header, wanted: Sequence[int]) -> np.ndarray:
    """The wanted bands by `pread`, one call for bands side by side; of pixel-interleaved files the whole image."""
    height, width, item = header.height, header.width, header.dtype.itemsize
    descriptor = os.open(file, os.O_RDONLY)
    try:
        if not header.bands_first:
            whole = np.empty((height, width, header.count), header.dtype)
            _fill(descriptor, whole, header.offset or 0, name)
            return whole.transpose(2, 0, 1)[list(wanted)]
        out = np.empty((len(wanted), height, width), header.dtype)
        start = 0
        for stop in range(1, len(wanted) + 1):
            if stop == len(wanted) or wanted[stop] != wanted[stop - 1] + 1:
                _fill(descriptor, out[start:stop], (header.offset or 0) + wanted[start] * height * width * item, name)
                start = stop
        return out
    finally:
        os.close(descriptor)


def _fill(descriptor: int, out: np.ndarray, offset: int, name: str) -> None:
    view, done = out.reshape(-1).view(np.uint8).data, 0
    while done < len(view):
        got = os.preadv(descriptor, [view[done:]], offset + done)
        if not got:
            raise DataError(f"{name}: truncated while it was read: {done:,} of {len(view):,} bytes from {offset:,} on")
        done += got
