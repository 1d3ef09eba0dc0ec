"""Columns of a table as bands: found by name, one a wavelength, in order of wavelength."""

from __future__ import annotations

import re
from collections import Counter
from typing import Literal

import numpy as np
import pandas as pd

from multimodal_lab.data.source import DataError
from multimodal_lab.text import Pattern, some
from multimodal_lab.types import Band

Duplicates = Literal["refuse", "mean", "first"]
UNITS = {"nm": 1.0, "um": 1000.0}
SHORTEST = 50.0  # nm: no optical instrument measures below, and micrometres are all below


def bands_of_columns(
    rows: pd.DataFrame, pattern: str, unit: str, wavelength_unit: str, file: str
) -> tuple[list[int], list[Band]]:
    """The places of the columns whose whole name matches `pattern`, and their bands; `DataError` where none does."""
    regex = Pattern(pattern, "data.source.pattern", DataError)
    matches = [(i, c, m) for i, c in enumerate(rows.columns) if (m := regex.fullmatch(c))]
    if not matches:
        said = f"{file}: no column matches data.source.pattern {pattern}; there are {some(list(rows.columns))}"
        raise DataError(f"{said}{_looks_like(rows)}")
    bands = []
    for _, name, match in matches:
        nm = match.groupdict().get("nm")
        try:
            bands.append(Band(name, None if nm is None else round(float(nm) * UNITS[wavelength_unit], 6), unit))
        except ValueError as error:
            raise DataError(f"{file}: column {name}: {nm!r} is not a wavelength in {wavelength_unit}") from error
    centres = [b.nm for b in bands if b.nm is not None]
    if centres and max(centres) < SHORTEST:
        raise DataError(
            f"{file}: wavelengths from {min(centres):g} to {max(centres):g} nm, which look like micrometres: "
            "data.source.wavelength_unit=um"
        )
    return [i for i, _, _ in matches], bands


def _looks_like(rows: pd.DataFrame) -> str:
    """How the bands of a table may be found whose columns don't match."""
    numbers = all(pd.api.types.is_numeric_dtype(t) for t in rows.dtypes)
    first = rows.iloc[:, 0].to_numpy(dtype=np.float64, na_value=np.nan) if numbers and len(rows) > 4 else np.zeros(1)
    if first[0] > SHORTEST and (np.diff(first) > 0).all():
        return f"; {rows.columns[0]} looks like wavelengths: transpose the table, which needs a row for each sample"
    found = [(c, m) for c in rows.columns if (m := re.fullmatch(r"(\D*)(\d+(?:\.\d+)?)(\D*)", c))]
    alike = Counter((m[1], m[3]) for _, m in found).most_common(1)
    if alike and alike[0][1] >= 3:
        (before, after), count = alike[0]
        shown = rf"{re.escape(before)}(?P<nm>[\d.]+){re.escape(after)}"
        return f"; {count} columns such as {next(c for c, m in found if m[1] == before)} match data.source.pattern='{shown}'"
    listed = [c for i, c in enumerate(rows.columns) if len(rows) and isinstance(rows.iloc[0, i], list | np.ndarray)]
    return f"; column {listed[0]} holds a list in each row: give every band a column of its own" if listed else ""


def in_order(
    values: np.ndarray, bands: list[Band], duplicates: Duplicates, file: str
) -> tuple[np.ndarray, tuple[Band, ...], list[str]]:
    """Values (N, C) float32 and bands by wavelength, one a wavelength (a name, without), and what there is to tell."""
    alike: dict[object, list[int]] = {}
    for i, band in enumerate(bands):
        alike.setdefault(band.name if band.nm is None else band.nm, []).append(i)
    several = {key: places for key, places in alike.items() if len(places) > 1}
    notes = []
    if several:
        shown = some([f"{k:g} nm" if isinstance(k, float) else str(k) for k in several])
        first = next(iter(several.values()))
        names = ", ".join(bands[i].name for i in first)
        said = f"{file}: {len(several)} of {len(alike)} wavelengths or bands are measured by several columns: {shown}"
        if duplicates == "refuse":
            raise DataError(
                f"{said} ({names}); data.source.duplicates=mean takes their mean, duplicates=first the first column of each"
            )
        notes.append(f"{said}; data.source.duplicates={duplicates} makes one of them")
        groups = [places if duplicates == "mean" else places[:1] for places in alike.values()]
        values = np.stack([values[:, g].mean(axis=1, dtype=np.float64) for g in groups], axis=1).astype(np.float32)
        bands = [bands[g[0]] for g in groups]
    if all(b.nm is not None for b in bands):
        order = sorted(range(len(bands)), key=lambda i: bands[i].nm or 0.0)
        if order != list(range(len(bands))):
            notes.append(f"{file}: its bands are not in order of wavelength; they are put in order")
            values, bands = np.ascontiguousarray(values[:, order]), [bands[i] for i in order]
    return values, tuple(bands), notes
