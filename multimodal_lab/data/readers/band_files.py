"""Reader of samples whose bands, or sensors, are files of their own, found by templates of names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from multimodal_lab.data.readers import band_rows, coordinates, gdal_metadata, nodata, raster
from multimodal_lab.data.readers.band_config import ClassMask, require
from multimodal_lab.data.readers.band_header import Role, SampleHeader, checked
from multimodal_lab.data.readers.band_rows import NearestDate
from multimodal_lab.data.readers.card import mask_from_band, pixel_bands
from multimodal_lab.data.readers.folder import existing, find, left_out
from multimodal_lab.data.readers.gdal_metadata import Described
from multimodal_lab.data.readers.headers import LazyHeaders, Verify, headers, readable_header
from multimodal_lab.data.readers.labels import Labels
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.path_template import PathTemplate
from multimodal_lab.data.readers.regrid import Rule, regrid
from multimodal_lab.data.readers.tiff import read_bands, unmeasured
from multimodal_lab.data.readers.tiff_header import Header, Layout, read_header
from multimodal_lab.data.source import Card, DataError, Raw
from multimodal_lab.data.streams.bands import indices, need_kind
from multimodal_lab.text import some
from multimodal_lab.types import Band, Stream

Planes = dict[str, tuple[np.ndarray, np.ndarray | None, float]]  # {band: values (1, H, W), missing, full scale}


class BandFiles:
    """Samples of several TIFF, JPEG 2000 or VRT files below `root`, which `files` {sensor: template} finds, see `PathTemplate`.

    bands: {sensor: its bands, by the card}, in stored order where one file holds them all; with {band} in the template each has
    a file of its own. names: {band: how files call it}, where not as the card does. id: a sample's name, by groups of the
    template; all others become columns. pair: which files of other sensors go with those of the first; None: those of one id.
    resample: what brings bands of several sizes to that of the band `grid` (None: the largest), see `regrid`; with `none` a
    stream has its own size, and one of two sizes is refused. missing: whether a sample may lack files; streams of these are
    missing then. exclude: pixels that count as not measured. georeference: the columns of `coordinates`; all files of a sample
    must lie in one projection and show one place. Opening reads headers; sizes and types must be those of the first sample.
    Missing are pixels as of `Tiff`, by each file's own nodata. card, labels, limits, described, on_error, verify: as of `Tiff`.
    """

    def __init__(
        self,
        root: str,
        *,
        files: dict[str, str],
        bands: dict[str, list[str]],
        card: Card,
        names: dict[str, str] | None = None,
        id: str = "{id}",
        pair: NearestDate | None = None,
        grid: str | None = None,
        resample: Rule = "none",
        missing: Literal["refuse", "keep"] = "refuse",
        exclude: ClassMask | None = None,
        georeference: bool = True,
        labels: Labels | None = None,
        limits: Limits | None = None,
        layout: Layout = "from_header",
        described: Described = "check",
        on_error: Literal["raise", "skip", "substitute"] = "raise",
        verify: Verify = "all",
    ) -> None:
        self.root, self.card, self.limits, self.layout = existing(root), card, limits or Limits(), layout
        self.bands: tuple[Band, ...] = pixel_bands(card)
        self.resample, self.georeference, self.described = resample, georeference, described
        pair = NearestDate(**pair) if isinstance(pair, dict) else pair
        self.exclude = ClassMask(**exclude) if isinstance(exclude, dict) else exclude
        self.identity = (files, bands, names, id, pair, grid, resample, self.exclude, layout)
        require(files, bands, [*(names or {})], grid, self.exclude, card)
        self._own = {sensor: [(names or {}).get(b, b) for b in own] for sensor, own in bands.items()}
        self._templates = {s: PathTemplate(t, self._own[s], f"data.source.files.{s}") for s, t in files.items()}
        self._roles = {
            b: (s, self._own[s][i] if self._templates[s].by_band else "", i)
            for s, own in bands.items()
            for i, b in enumerate(own)
        }
        self._grid = None if grid is None else self._roles[grid][:2]
        self._stored = {b.name: i for i, b in enumerate(card.bands)}
        self._sensor_bands = bands
        band_rows.require_groups(self._templates, id, pair)
        every = find(self.root, sorted({os.path.splitext(t)[1] for t in files.values()}))
        matches = {s: t.match(every) for s, t in self._templates.items()}
        self._rows = band_rows.samples(self._templates, matches, id, pair)
        self.limits.count(str(self.root), len(self._rows))
        wanted = {s: own if self._templates[s].by_band else [""] for s, own in self._own.items()}
        self.notes = band_rows.gaps(self._rows, wanted, self._templates, missing)
        self.stored_files = [f for row in self._rows for part in row.parts.values() for f in part.files.values()]
        for file in [f for f in self.stored_files if f.lower().endswith(".vrt")]:
            with suppress(DataError):  # told when its header is read
                made_of = raster.vrt_sources(self.root / file, file, self.limits)
                self.stored_files += [p.relative_to(self.root).as_posix() for p in made_of]
        self._open(every, {m.path for found in matches.values() for m in found}, labels, on_error, verify)

    def _open(self, every: list[str], matched: set[str], labels: Labels | None, on_error: Any, verify: Verify) -> None:
        """The table of samples, by headers."""
        self._shared: dict[Header, Header] = {}  # equal ones are kept once
        paths = [next(iter(next(iter(row.parts.values())).files.values())) for row in self._rows]
        self._of = dict(zip(paths, self._rows))
        self._headers = headers(paths, self._header, on_error, verify)
        self._paths = paths
        table = pd.DataFrame({"id": [row.id for row in self._rows], "path": paths})
        waiting = self._headers if isinstance(self._headers, LazyHeaders) else None
        found: Sequence[Any] = [waiting.first[1]] * len(paths) if waiting else self._headers  # type: ignore[assignment]
        sizes = {side: [getattr(h, side, 0) for h in found] for side in ("height", "width")}
        table = table.assign(**sizes).join(band_rows.columns(self._rows, list(self._templates)))
        self.notes += left_out(self.root, every)
        if rest := [p for p in every if p not in matched]:
            self.notes.append(
                f"left out: {len(rest)} files whose names fit no template of data.source.files: {some(rest)}"
            )
        if labels is not None:
            table = labels(self.root, table)
            self.notes += labels.notes
        read = [s for s in (found[:1] if waiting else found) if isinstance(s, SampleHeader)]
        good = [file for s in read for file in s.files.values()]
        self._check_nodata(read[0])
        if self.card.nodata is None:
            self.notes += nodata.notes([(p, h.why) for p, h in good if h.why], len(good))
        if waiting:
            told = ["coordinates: not read, as headers are not (data.verify=none)"] if self.georeference else []
            self.notes += [waiting.note(), *told]
        elif self.georeference:
            table, told = coordinates.located(table, [getattr(h, "ground", None) for h in found])
            self.notes += told
        self.samples: pd.DataFrame = table

    def _header(self, path: str, first: tuple[str, SampleHeader] | None) -> SampleHeader:
        found: dict[Role, tuple[str, Header]] = {}
        for sensor, part in self._of[path].parts.items():
            for band, file in part.files.items():
                count = 1 if band else len(self._sensor_bands[sensor])
                header = read_header(self.root / file, file, count, self.layout, self.limits, self.georeference)
                if self.described == "check":
                    names = [band] if band else self._sensor_bands[sensor]
                    own = [self.card.bands[self._stored[b]] for b in names if b in self._stored]
                    gdal_metadata.require(header.said, own, file, f"data.source.bands.{sensor}")
                plain = replace(header, ground=None)
                known = self._shared.setdefault(plain, plain)
                found[sensor, band] = file, replace(known, ground=header.ground) if header.ground else known
        return checked(found, self._grid, first and first[1])

    def _check_nodata(self, sample: SampleHeader) -> None:
        for role, (_, header) in sample.files.items():
            own = [self._stored[b] for b, at in self._roles.items() if at[0] == role[0] and role[1] in ("", at[1])]
            nodata.check(self.card, own, header.dtype)

    @staticmethod
    def sensors_of(settings: Mapping[str, Any]) -> dict[str, Sequence[str]]:
        """{sensor: its bands}, as its settings have them."""
        return dict(settings["bands"])

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """The bands of `streams`, (C, H, W); a stream of files of two types is float32, of full scale 1 where theirs differ.

        A stream that lacks a file is None. Damage, or a stream of two sizes that nothing resamples, is a `DataError`.
        """
        need_kind(streams, ["image"], self._paths[index])
        header = readable_header(self._headers[index])
        of = {s.name: [self.bands[i].name for i in indices(s, self.bands)] for s in streams}
        wanted = list(dict.fromkeys(b for own in of.values() for b in own))
        extra = [self.card.mask_band, self.exclude.band if self.exclude else None]
        planes = self._planes(header, [*wanted, *(b for b in extra if b is not None and b not in wanted)])
        inputs: dict[str, Any] = {}
        scales: dict[str, float] = {}
        gone: dict[str, np.ndarray] = {}
        for name, own in of.items():
            inputs[name] = None
            if all(b in planes for b in own):
                self._one_size(name, own, planes)
                inputs[name] = _stacked([planes[b][0] for b in own])
                known = {planes[b][2] for b in own}
                scales[name] = known.pop() if len(known) == 1 else 1.0
                if (missing := self._missing(own, planes)) is not None:
                    gone[name] = missing
        return Raw(inputs, self._mask(planes, index), scales, gone)

    def _planes(self, header: SampleHeader, wanted: Sequence[str]) -> Planes:
        """The wanted bands that have a file, one by one, at the size of the grid if they are resampled."""
        by_file: dict[Role, list[str]] = {}
        for band in wanted:
            by_file.setdefault(self._roles[band][:2], []).append(band)
        planes: Planes = {}
        classes = {self.card.mask_band, self.exclude.band if self.exclude else None}
        for role, own in by_file.items():
            if role not in header.files:
                continue
            path, one = header.files[role]
            places = [self._roles[b][2] if not role[1] else 0 for b in own]
            file = str(self.root / path)
            values = read_bands(file, path, one, places)
            declared = nodata.of_bands(self.card, [self._stored[b] for b in own], one.nodata)
            absent = unmeasured(file, path, one, values, places, declared, self.card)
            for i, band in enumerate(own):
                x, lost = values[i : i + 1], None if absent is None else absent[i : i + 1]
                if self.resample != "none":
                    rule: Rule = "nearest" if band in classes else self.resample
                    x, lost = regrid(x, lost, (header.height, header.width), rule)
                planes[band] = x, lost, one.full_scale
        return planes

    def _one_size(self, stream: str, own: Sequence[str], planes: Planes) -> None:
        sizes = {planes[b][0].shape[1:]: b for b in reversed(own)}
        if len(sizes) > 1:
            said = " and ".join(f"{h} x {w} pixels ({b})" for (h, w), b in sizes.items())
            raise DataError(
                f"stream {stream}: bands of {said}; data.source.resample=nearest, bilinear, bicubic or area brings them to "
                "one grid, or make a stream of each"
            )

    def _missing(self, own: Sequence[str], planes: Planes) -> np.ndarray | None:
        """(C, H, W) bool of the bands of a stream: nodata, and classes that are excluded; None where all was measured."""
        size = planes[own[0]][0].shape[1:]
        out = self._excluded(planes, (size[0], size[1]))
        sensors = (self.exclude.sensors if self.exclude else None) or list(self._templates)
        found = []
        for band in own:
            one = planes[band][1]
            if out is not None and self._roles[band][0] in sensors:
                one = out if one is None else one | out
            found.append(np.zeros((1, *size), dtype=bool) if one is None else one)
        made = np.concatenate(found)
        return made if made.any() else None

    def _excluded(self, planes: Planes, size: tuple[int, int]) -> np.ndarray | None:
        if self.exclude is None or self.exclude.band not in planes:
            return None
        classes = planes[self.exclude.band][0]
        if classes.dtype.kind not in "iu":
            raise DataError(
                f"data.source.exclude.band: {self.exclude.band} holds {classes.dtype}, expected classes, whole numbers"
            )
        return regrid(np.isin(classes, self.exclude.classes), None, size, "nearest")[0]

    def _mask(self, planes: Planes, index: int) -> np.ndarray | None:
        band = self.card.mask_band
        return None if band not in planes else mask_from_band(planes[band][0][0], self.card, self._paths[index])


def _stacked(planes: list[np.ndarray]) -> np.ndarray:
    """(C, H, W) of planes (1, H, W): of their type if they have one, else float32."""
    dtype = planes[0].dtype if len({x.dtype for x in planes}) == 1 else np.dtype(np.float32)
    return np.concatenate([x.astype(dtype, copy=False) for x in planes])
