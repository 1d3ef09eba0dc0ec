"""What the name of a patch of BigEarthNet tells: day, tile of the Sentinel-2 grid, and the place in it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from multimodal_lab.data.readers.bigearthnet_facts import PATCH
from multimodal_lab.data.readers.utm import lon_lat

S2_NAME = r"^S2[A-D]_MSIL2A_(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)T\d+_(?:.*_)?(?P<column>\d+)_(?P<row>\d+)$"
S1_NAME = r"^S1[A-D]_IW_GRDH_1SDV_\d{8}T\d{6}_(?P<tile>\d\d[A-Z]{3})_(?P<column>\d+)_(?P<row>\d+)$"
TILE = r"_T(\d\d[A-Z]{3})_"
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


def told(patches: pd.Series, pairs: pd.Series) -> pd.DataFrame:
    """Columns tile, date, crs, left, bottom, right, top (m), lon, lat (degrees, of the centre), missing where no name tells.

    patches, pairs: names (N,) of the Sentinel-2 and Sentinel-1 patch; in the first version the latter alone names the tile.
    """
    own = patches.str.extract(S2_NAME)
    tile = patches.str.extract(TILE)[0]
    tile = tile.where(tile.notna(), pairs.astype(object).str.extract(S1_NAME)["tile"]) if pairs.notna().any() else tile
    known = {name: _corner(name) for name in tile.dropna().unique()}
    corners = np.array([known.get(name, (np.nan,) * 3) for name in tile], dtype=float).reshape(-1, 3)
    column, row = (own[name].astype(float).to_numpy() for name in ("column", "row"))
    left, top = corners[:, 1] + PATCH * column, corners[:, 2] - PATCH * row
    degrees = np.full((2, len(tile)), np.nan)
    for epsg in np.unique(corners[np.isfinite(corners[:, 0]), 0]).astype(int):
        rows = corners[:, 0] == epsg
        degrees[:, rows] = lon_lat(epsg, left[rows] + PATCH / 2, top[rows] - PATCH / 2)
    day = own["year"] + "-" + own["month"] + "-" + own["day"]
    crs = np.array([f"EPSG:{int(epsg)}" if np.isfinite(epsg) else None for epsg in corners[:, 0]], dtype=object)
    texts = {"tile": "T" + tile, "date": day}
    texts = {name: values.astype(object).where(values.notna(), None) for name, values in texts.items()}
    bounds = {"left": left, "bottom": top - PATCH, "right": left + PATCH, "top": top}
    return pd.DataFrame({**texts, "crs": crs, **bounds, "lon": degrees[0], "lat": degrees[1]}, index=patches.index)


def _corner(tile: str) -> tuple[float, ...]:
    try:
        return corner(tile)
    except (KeyError, ValueError):  # a tile outside Europe, or none of the grid
        return (np.nan,) * 3
