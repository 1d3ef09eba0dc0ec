"""Columns of the sample table that tell where samples lie: crs, left, bottom, right, top, lon, lat."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from multimodal_lab.data.readers import geotiff
from multimodal_lab.data.readers.folder import readable
from multimodal_lab.data.readers.geotiff import Ground
from multimodal_lab.data.readers.headers import LazyHeaders
from multimodal_lab.data.readers.utm import RADIUS, lon_lat
from multimodal_lab.data.source import DataError
from multimodal_lab.text import install_command, some

COLUMNS = ("crs", "left", "bottom", "right", "top", "lon", "lat")
EXTRA = "geo"


def located(samples: pd.DataFrame, grounds: Sequence[Ground | None]) -> tuple[pd.DataFrame, list[str]]:
    """The samples with `COLUMNS`, and what to tell of them; `DataError` where the table has one of these already.

    left to top are the bounds in units of `crs`, lon and lat the centre in degrees of WGS 84 (NaN where it isn't known). Without
    any place the table stays as it is.
    """
    known = [g for g in grounds if g is not None]
    if not known:
        return samples, ["coordinates: no file has any (data.source.georeference looks for GeoTIFF tags)"]
    if clash := [c for c in COLUMNS if c in samples]:
        raise DataError(
            f"data.source: column {clash[0]!r} is there twice; data.source.georeference=false leaves it out"
        )
    crs = np.array([None if g is None else g.crs for g in grounds], dtype=object)
    bounds = np.array([(np.nan,) * 4 if g is None else g.bounds for g in grounds])
    centre = np.array(
        [
            (np.nan, np.nan) if g is None else ((g.bounds[0] + g.bounds[2]) / 2, (g.bounds[1] + g.bounds[3]) / 2)
            for g in grounds
        ]
    )
    lon, lat = np.full(len(crs), np.nan), np.full(len(crs), np.nan)
    notes = []
    counts = pd.Series(crs).value_counts()
    for name in map(str, counts.index):
        rows = np.flatnonzero(crs == name)
        lon[rows], lat[rows], note = degrees(name, centre[rows, 0], centre[rows, 1])
        notes += [note] if note else []
    table = samples.assign(crs=crs, lon=lon, lat=lat, **{c: bounds[:, i] for i, c in enumerate(COLUMNS[1:5])})
    table = table[[*samples.columns, *COLUMNS]]
    table.attrs = dict(samples.attrs)
    return table, [*_told(samples, crs, counts), *notes]


def of_tiff(root: Path, name: str) -> Ground | None:
    """The place of one TIFF file; None of another file, of one that can't be read, and of one that doesn't tell."""
    if Path(name).suffix.lower() not in (".tif", ".tiff"):
        return None
    try:
        with readable(name, "TIFF file"), tifffile.TiffFile(root / name, is_ome=False) as tif:
            return geotiff.of_page(tif.pages.first, name)
    except DataError:  # told where it is read
        return None


def need_headers(found: object) -> None:
    """Refuse (`DataError`) to look for coordinates in headers that wait until they are needed."""
    if isinstance(found, LazyHeaders):
        raise DataError(
            "data.source.georeference: reads every header, and data.verify=none none; choose headers or all"
        )


def degrees(crs: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """Longitude and latitude (n,) of places (n,) in `crs`, and why there are none, or "".

    WGS 84 itself (EPSG:4326), its UTM zones (326xx, 327xx), those of ETRS89 (258xx), and Web Mercator (3857) are known;
    all others take rasterio.
    """
    code = int(crs[5:]) if crs.startswith("EPSG:") and crs[5:].isdecimal() and len(crs) < 12 else 0
    if code == 4326:
        return x, y, ""
    if 32601 <= code <= 32660 or 32701 <= code <= 32760 or 25828 <= code <= 25838:
        lon, lat = lon_lat(code, x, y)
        return (lon + 180) % 360 - 180, lat, ""
    if code == 3857:
        return np.degrees(x / RADIUS), np.degrees(np.arctan(np.sinh(y / RADIUS))), ""
    nowhere = np.full(len(x), np.nan)
    if code == 0 or importlib.util.find_spec("rasterio") is None:
        cure = f"; {install_command(EXTRA)} knows it" if code else ""
        return nowhere, nowhere, f"warning: coordinates: lon and lat of {crs} are not known{cure}"
    from rasterio.errors import RasterioError
    from rasterio.warp import transform

    try:
        lon, lat = transform(crs, "EPSG:4326", x.tolist(), y.tolist())
    except RasterioError as error:
        return nowhere, nowhere, f"warning: coordinates: lon and lat of {crs} are not known: {error}"
    return np.array(lon), np.array(lat), ""


def _told(samples: pd.DataFrame, crs: np.ndarray, counts: pd.Series) -> list[str]:
    notes = []
    if gone := [name for name, of in zip(samples["path"], crs) if of is None]:
        notes.append(f"warning: coordinates: {len(gone)} of {len(crs)} samples have none: {some(gone)}")
    if len(counts) > 1:
        rare = str(counts.index[-1])
        example = samples["id"].iloc[int(np.flatnonzero(crs == rare)[0])]
        said = ", ".join(f"{n:,} in {name}" for name, n in counts.items())
        notes.append(
            f"warning: {len(counts)} projections in one set: {said} ({example}); left, bottom, right and top of two are no "
            "numbers of one scale, lon and lat are"
        )
    return notes
