"""Headers of one sample's band files, checked against each other: sizes, types, projection, place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from multimodal_lab.data.readers import gdal_metadata
from multimodal_lab.data.readers.geotiff import Ground
from multimodal_lab.data.readers.regrid import ratio
from multimodal_lab.data.readers.tiff_header import Header
from multimodal_lab.data.source import DataError

SHIFT = 0.5  # of a larger pixel, between bands of one sensor: what a 60 m grid lies off a 10 m one in published sets
SHARED = 0.9  # of the smaller area, between sensors: they must show the same ground
Role = tuple[str, str]  # a sensor, and a band, "" of all


@dataclass(frozen=True)
class SampleHeader:
    """The files of one sample by role; height, width: of the grid that bands are brought to."""

    files: dict[Role, tuple[str, Header]]
    height: int
    width: int
    ground: Ground | None


def checked(files: dict[Role, tuple[str, Header]], grid: Role | None, first: SampleHeader | None) -> SampleHeader:
    """One sample's header; `DataError` names the file that doesn't go with the others of it, or with those of the `first`.

    grid: the file whose size all bands get, the largest's without.
    """
    for role, (path, header) in files.items():
        if first is not None and role in first.files:
            _like(path, header, *first.files[role])
    sizes = {role: (h.height, h.width) for role, (_, h) in files.items()}
    at = grid if grid in files else max(sizes, key=lambda role: sizes[role])
    path, finest = files[at]
    for other, header in files.values():
        if ratio((header.height, header.width), sizes[at]) is None:
            raise DataError(
                f"{other}: {header.height} x {header.width} pixels, no whole multiple or part of the "
                f"{finest.height} x {finest.width} of {path}"
            )
    _one_place(files)
    height, width = sizes[at]
    if grid is not None and grid not in files and first is not None:
        height, width = first.height, first.width
    grounds = [h.ground for _, h in (files[at], *files.values()) if h.ground is not None]
    return SampleHeader(files, height, width, grounds[0] if grounds else None)


def _like(path: str, header: Header, other: str, known: Header) -> None:
    if header.dtype != known.dtype:
        raise DataError(f"{path}: values of type {header.dtype}, expected {known.dtype} as in {other}")
    gdal_metadata.require_same(header.said, known.said, path, other)
    if (header.height, header.width) != (known.height, known.width):
        raise DataError(
            f"{path}: {header.height} x {header.width} pixels, expected {known.height} x {known.width} as in {other}"
        )


def _one_place(files: Mapping[Role, tuple[str, Header]]) -> None:
    """Refuse files of one sample in two projections, or of other ground."""
    heads: dict[str, tuple[str, Ground]] = {}  # the first of each sensor
    for (sensor, _), (path, header) in files.items():
        own = header.ground
        if own is None:
            continue
        if not heads:
            heads[sensor] = path, own
            continue
        other, there = heads.get(sensor) or next(iter(heads.values()))
        if own.crs != there.crs:
            raise DataError(f"{path}: projection {own.crs}, expected {there.crs} as in {other}, of the same sample")
        off = max(abs(a - b) for a, b in zip(own.bounds, there.bounds)) / max(own.pixel, there.pixel)
        if sensor in heads and off > SHIFT:
            raise DataError(f"{path}: {_told(own)} is {off:.1f} pixels off {other}, {_told(there)}")
        if sensor not in heads and (share := _shared(own, there)) < SHARED:
            raise DataError(
                f"{path}: {_told(own)} shares {share:.0%} of the ground of {other}, {_told(there)}; expected {SHARED:.0%}"
            )
        heads.setdefault(sensor, (path, own))


def _shared(a: Ground, b: Ground) -> float:
    """The share of the smaller of two areas that both have."""
    (left, bottom, right, top), (left2, bottom2, right2, top2) = a.bounds, b.bounds
    both = max(0.0, min(right, right2) - max(left, left2)) * max(0.0, min(top, top2) - max(bottom, bottom2))
    return both / min((right - left) * (top - bottom), (right2 - left2) * (top2 - bottom2))


def _told(place: Ground) -> str:
    left, bottom, right, top = place.bounds
    return f"({left:.10g} to {right:.10g}, {bottom:.10g} to {top:.10g})"
