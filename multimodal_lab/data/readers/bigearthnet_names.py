"""What the name of a patch of BigEarthNet tells: day, tile of the Sentinel-2 grid, and the place in it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from multimodal_lab.data.readers.bigearthnet_facts import PATCH
from multimodal_lab.data.readers.utm import lon_lat

S2_NAME = re.compile(r"S2[A-D]_MSIL2A_(\d{4})(\d\d)(\d\d)T\d+_(?:.*_T(\d\d[A-Z]{3})_)?(\d+)_(\d+)")
S1_NAME = re.compile(r"S1[A-D]_IW_GRDH_1SDV_\d{8}T\d{6}_(\d\d[A-Z]{3})_\d+_\d+")
ROWS = "ABCDEFGHJKLMNPQRSTUV"  # the letters of MGRS know no I and no O
LOWEST = {"S": 3_500_000, "T": 4_400_000, "U": 5_300_000, "V": 6_200_000, "W": 7_000_000}  # m, of bands of latitude
SNAP = 60  # m: corners of tiles are multiples of the coarsest pixel


def corner(tile: str) -> tuple[int, float, float]:
    """EPSG code, left and top in m of a tile of Sentinel-2 in Europe, such as `33UUP`, by the letters of the military grid."""
    zone, band, column, row = int(tile[:2]), *tile[2:]
    columns = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")[zone % 3]
    bottom = (ROWS.index(row) - (5 if zone % 2 == 0 else 0)) % len(ROWS) * 100_000
    while bottom < LOWEST[band]:
        bottom += len(ROWS) * 100_000
    left, top = (columns.index(column) + 1) * 100_000, bottom + 100_000
    return 32600 + zone, float(left // SNAP * SNAP), float(-(-top // SNAP) * SNAP)


def told(patches: Sequence[str], pairs: Sequence[str | None]) -> pd.DataFrame:
    """Columns tile, date, crs, left, bottom, right, top (m), lon, lat (degrees, of the centre), missing where no name tells.

    patches, pairs: names (N,) of the Sentinel-2 and Sentinel-1 patch; in the first version the latter alone names the tile.
    """
    one: dict[str, str] = {}  # equal texts are one object: a table has half a million rows
    tiles, days, places = [], [], np.full((len(patches), 2), np.nan)
    for i, (patch, pair) in enumerate(zip(patches, pairs)):
        found = S2_NAME.fullmatch(patch)
        day = "-".join(found.group(1, 2, 3)) if found else None
        days.append(None if day is None else one.setdefault(day, day))
        if found:
            places[i] = int(found[5]), int(found[6])
        tile = found[4] if found else None
        if tile is None and pair is not None and (other := S1_NAME.fullmatch(pair)):
            tile = other[1]
        tiles.append(None if tile is None else one.setdefault(tile, tile))
    corners: dict[str | None, tuple[float, float, float]] = {t: _corner(t) for t in {*tiles} if t is not None}
    nowhere = (np.nan, np.nan, np.nan)
    epsg, left, top = np.array([corners.get(tile, nowhere) for tile in tiles], dtype=float).reshape(-1, 3).T
    called = {tile: f"T{tile}" for tile in corners}
    crs = {tile: f"EPSG:{at[0]:.0f}" for tile, at in corners.items() if at[0] == at[0]}
    left, top = left + PATCH * places[:, 0], top - PATCH * places[:, 1]
    degrees = np.full((2, len(tiles)), np.nan)
    for zone in np.unique(epsg[np.isfinite(epsg)]).astype(int):
        own = epsg == zone
        degrees[:, own] = lon_lat(zone, left[own] + PATCH / 2, top[own] - PATCH / 2)
    texts = {"tile": [called.get(t) for t in tiles], "date": days, "crs": [crs.get(t) for t in tiles]}
    bounds = {"left": left, "bottom": top - PATCH, "right": left + PATCH, "top": top}
    objects = {name: pd.Series(values, dtype=object) for name, values in texts.items()}
    return pd.DataFrame({**objects, **bounds, "lon": degrees[0], "lat": degrees[1]})


def _corner(tile: str) -> tuple[float, float, float]:
    try:
        return corner(tile)
    except (KeyError, ValueError):  # a tile outside Europe, or none of the grid
        return np.nan, np.nan, np.nan
