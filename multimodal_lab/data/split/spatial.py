"""Spatial splits, by blocks of the ground: a sample's block by its longitude and latitude, a buffer between splits."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import pandas as pd

from multimodal_lab.data.source import DataError, Source

COLUMN = "spatial_block"
EARTH_KM = 6371.0088  # mean radius, IUGG
HOW = "data.source.georeference=true reads them from GeoTIFF; a table may have columns lon and lat in degrees"


def with_blocks(source: Source, km: float | None) -> Source:
    """The same source, its table with the column `spatial_block`; as it is without `km`, or coordinates."""
    table = source.samples
    if km is None or not {"lon", "lat"} <= {*table.columns}:
        return source
    made: Any = copy(source)
    made.samples = table.assign(**{COLUMN: blocks(*degrees(table), km)})
    made.samples.attrs = dict(table.attrs)
    result: Source = made
    return result


def blocks(lon: np.ndarray, lat: np.ndarray, km: float) -> np.ndarray:
    """(N,) str: the block of each place in degrees, None where it has none. Blocks know no zone of a projection.

    Rows of `km` from south to north; in each as many blocks as fit around the Earth, so that they are `km` wide there.
    """
    row = np.floor(np.radians(lat + 90) * EARTH_KM / km)
    middle = (row + 0.5) * km / EARTH_KM - np.pi / 2
    around = np.maximum(np.floor(2 * np.pi * EARTH_KM * np.cos(middle) / km), 1)
    column = np.minimum(np.floor((lon + 180) % 360 / 360 * around), around - 1)
    known = ~(np.isnan(lon) | np.isnan(lat))
    return np.array([f"r{int(r)}_c{int(c)}" if k else None for r, c, k in zip(row, column, known)], dtype=object)


def degrees(samples: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude (N,), NaN where there is no number."""
    lon, lat = (pd.to_numeric(samples[name], errors="coerce").to_numpy(float) for name in ("lon", "lat"))
    return lon, lat


def require_coordinates(samples: pd.DataFrame) -> None:
    """`DataError` for a table without longitude and latitude, or a row without, or with numbers that are no degrees."""
    if not {"lon", "lat"} <= {*samples.columns}:
        raise DataError(f"data.split.by={COLUMN}: samples have no columns lon and lat; {HOW}")
    lon, lat = degrees(samples)
    if (gone := np.isnan(lon) | np.isnan(lat)).any():
        said = f"{gone.sum()} of {len(samples)} samples have no lon and lat, such as {samples['id'].iloc[int(gone.argmax())]!r}"
        raise DataError(f"data.split.by={COLUMN}: {said}; {HOW}")
    if (odd := (np.abs(lat) > 90) | (np.abs(lon) > 360)).any():
        at = int(odd.argmax())
        raise DataError(
            f"data.split.by={COLUMN}: sample {samples['id'].iloc[at]!r} has lon {lon[at]:g} and lat {lat[at]:g}, expected degrees"
        )


def nearest_km(samples: pd.DataFrame, rows: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each of `rows` the distance in km to the nearest of `others`, centre to centre over the ground, and which that is."""
    from scipy.spatial import cKDTree

    places = _unit(*degrees(samples))
    chord, at = cKDTree(places[others]).query(places[rows])
    return 2 * EARTH_KM * np.arcsin(np.clip(chord / 2, 0, 1)), others[at]


def buffered(samples: pd.DataFrame, splits: dict[str, np.ndarray], km: float) -> dict[str, np.ndarray]:
    """The splits without the rows of train that are nearer than `km` to one of val or test, and those of val near test.

    `DataError` where nothing is left of a split.
    """
    made = dict(splits)
    for name, held in (("train", ("val", "test")), ("val", ("test",))):
        others = [splits[o] for o in held if o in splits]
        if name not in made or not others:
            continue
        far = nearest_km(samples, made[name], np.concatenate(others))[0] >= km
        made[name] = made[name][far]
        if not far.any():
            raise DataError(
                f"data.split.buffer_km={km:g}: all {len(far)} samples of {name} are nearer than that to one of "
                f"{' or '.join(held)}; choose a smaller buffer, or larger blocks (data.split.block_km)"
            )
    return made


def told(samples: pd.DataFrame, splits: dict[str, np.ndarray], km: float, buffer: float | None) -> str:
    """What a run says of a split by blocks: how many there are, and how far test samples are from training samples."""
    used = np.concatenate(list(splits.values()))
    said = f"split: {samples[COLUMN].iloc[used].nunique()} blocks of {km:g} km on the ground"
    if buffer is not None:
        said += f", {len(samples) - len(used)} samples nearer than {buffer:g} km to another split left out"
    if "test" in splits and len(splits["test"]) and len(splits["train"]):
        apart = nearest_km(samples, splits["test"], splits["train"])[0]
        said += (
            f"; from a test sample to the nearest training sample {apart.min():.3g} km at the least, "
            f"{np.median(apart):.3g} km in the median"
        )
    return said


def _unit(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """(N, 3) on the unit sphere."""
    x, y = np.radians(lon), np.radians(lat)
    return np.stack([np.cos(y) * np.cos(x), np.cos(y) * np.sin(x), np.sin(y)], axis=1)
