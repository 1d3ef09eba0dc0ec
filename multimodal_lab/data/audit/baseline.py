"""Sentinel-2's offset: from processing baseline 04.00 on, 1000 is added to every stored value (ESA, BOA_ADD_OFFSET = -1000)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from multimodal_lab.data.audit.finding import Finding, listed
from multimodal_lab.data.units import factor
from multimodal_lab.types import Band

OFFSET = 0.1  # in reflectance
FIRST, OWN = 400, 9999  # the baseline that has it; a product that somebody has made again says 9999
NAME = re.compile(r"S2[A-D]_MSIL[12][AC]_\d{8}T\d{6}_N(\d{4})_")
FEWEST, SHARE = 10, 0.1  # samples, and the share of them with the offset, from which values tell
CURE = "subtract 1000 from every value of the products from 04.00 on (0, nodata, stays 0)"
PERHAPS = f"perhaps the offset of Sentinel-2's processing baseline 04.00; if so, {CURE}"


def of_names(table: pd.DataFrame) -> Iterator[Finding]:
    """Products before and from baseline 04.00 on in one set, as the first column tells that names products as ESA does."""
    column = next((c for c in table if _names_products(table[c])), None)
    if column is None:
        return
    found = table[column].astype("string").str.extract(NAME, expand=False).astype(float)
    known = found[found.notna() & (found != OWN)]
    late = known >= FIRST
    if late.any() and not late.all():
        example = tuple(str(table["id"][known.index[late == which][0]]) for which in (False, True))
        sentence = (
            f"{int((~late).sum()):,} samples of processing baselines before 04.00, such as {example[0]}, and "
            f"{int(late.sum()):,} from it on, such as {example[1]}: these are 1000 higher at the same reflectance; {CURE}"
        )
        yield Finding("offset", "id", sentence, False, int(late.sum()), example)


def of_ranges(name: str, bands: Sequence[Band], low: Sequence[float | None]) -> Iterator[Finding]:
    """A stream of which no value of any band is below the offset: some pixel of a set is dark in some band."""
    floor = _floor(bands)
    if floor is not None and all(value is not None and value >= floor for value in low):
        sentence = f"{name}: no value of any band is below {floor:g}: {PERHAPS}"
        yield Finding("offset", name, sentence, False, len(bands), tuple(band.name for band in bands[:3]))


def of_values(name: str, bands: Sequence[Band], least: Sequence[float], ids: Sequence[str]) -> Iterator[Finding]:
    """Samples of which no value of any band is below the offset, beside others that begin as much lower."""
    floor, values = _floor(bands), np.asarray(least)
    if floor is None or len(values) < FEWEST:
        return
    high = values >= floor
    if high.all() or high.mean() < SHARE:
        return
    begins = [float(np.nanmedian(values[which])) for which in (~high, high)]
    if 0.7 * floor <= begins[1] - begins[0] <= 1.5 * floor:
        names = tuple(ids[i] for i in np.flatnonzero(high)[:20])
        sentence = (
            f"{name}: no value of any band of {int(high.sum()):,} of {len(high):,} samples, such as {listed(names)}, is below "
            f"{floor:g} (the others begin at {begins[0]:.4g}, these at {begins[1]:.4g}): {PERHAPS}"
        )
        yield Finding("offset", name, sentence, False, int(high.sum()), names)


def _floor(bands: Sequence[Band]) -> float | None:
    """The offset as stored; None of bands that are not three or more of reflectance times one number."""
    scales = {factor(band.unit) for band in bands}
    scale = next(iter(scales), None) if len(scales) == 1 else None
    return OFFSET * scale if scale is not None and len(bands) >= 3 else None


def _names_products(column: pd.Series) -> bool:
    first = column.dropna().head(1)
    return len(first) == 1 and isinstance(first.iloc[0], str) and NAME.search(first.iloc[0]) is not None
