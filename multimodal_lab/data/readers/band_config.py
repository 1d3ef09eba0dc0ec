"""What a config says of band files, checked before a file is looked for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from multimodal_lab.data.readers.raster import SUFFIXES as RASTERS
from multimodal_lab.data.source import Card, DataError
from multimodal_lab.text import expected_one_of

SUFFIXES = (".tif", ".tiff", *RASTERS)


@dataclass(frozen=True)
class ClassMask:
    """Pixels that count as not measured: those of some classes of a band, such as clouds by Sentinel-2's SCL.

    band: of classes, whole numbers. classes: to take out. sensors: whose bands lack these pixels; None: all that have files.
    """

    band: str
    classes: list[int]
    sensors: list[str] | None = None


def require(
    files: Mapping[str, str],
    bands: Mapping[str, Sequence[str]],
    names: Sequence[str],
    grid: str | None,
    exclude: ClassMask | None,
    card: Card,
) -> None:
    """`DataError` for sensors, bands or suffixes that can't be; see `BandFiles`. names: the bands that files call otherwise."""
    if set(files) != set(bands) or not files:
        raise DataError(
            f"data.source.bands: of {', '.join(bands) or 'no sensor'}, expected the sensors of data.source.files: "
            f"{', '.join(files) or 'none'}"
        )
    known = [b.name for b in card.bands]
    listed = [b for own in bands.values() for b in own]
    asked = (
        [("bands", b) for b in listed] + [("names", b) for b in names] + [("grid", b) for b in [grid] if b is not None]
    )
    if exclude is not None:
        asked.append(("exclude.band", exclude.band))
        if unknown := [s for s in exclude.sensors or [] if s not in files]:
            raise DataError(f"data.source.exclude.sensors: {unknown[0]!r}; {expected_one_of(unknown[0], list(files))}")
    for key, band in asked:
        if band not in known:
            raise DataError(f"data.source.{key}: no band {band!r} on the card; {expected_one_of(band, known)}")
    if off := [b for b in known if listed.count(b) != 1]:
        said = "is of no sensor" if off[0] not in listed else "is of two sensors, or twice of one"
        raise DataError(f"data.source.bands: the card's band {off[0]} {said}, expected each of the card's in one")
    for sensor, template in files.items():
        if os.path.splitext(template)[1].lower() not in SUFFIXES:
            raise DataError(
                f"data.source.files.{sensor}: {template!r}, expected a name that ends in {', '.join(SUFFIXES)}"
            )
