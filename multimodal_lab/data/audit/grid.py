"""Projections and pixel sizes of a set of images: one network sees all of them as one grid."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from multimodal_lab.data.audit.finding import Finding, listed

BOUNDS = ("left", "bottom", "right", "top")
APART = 0.01  # relative difference of pixel sizes
UTM = re.compile(r"EPSG:32[67]\d\d")  # WGS 84 / UTM zones of the north and south: one projection with another meridian


def findings(table: pd.DataFrame) -> Iterator[Finding]:
    """Several reference systems (zones of UTM are no fault), and pixels of several sizes. table: columns `crs` and its bounds."""
    if "crs" not in table or not table["crs"].notna().any():
        return
    crs = table["crs"].dropna().astype(str)
    counts = crs.value_counts()
    gone = len(table) - len(crs)
    if gone:
        names = tuple(map(str, table["id"][table["crs"].isna()].head(20)))
        sentence = f"{gone:,} of {len(table):,} samples have no reference system (crs): {listed(names)}"
        yield Finding("projection", "crs", sentence, False, gone, names)
    if len(counts) > 1:
        zones = all(UTM.fullmatch(name) for name in counts.index)
        said = tuple(f"{name} ({count:,})" for name, count in counts.items())
        example = str(table["id"][crs.index[crs == counts.index[-1]][0]])
        means = "zones of UTM, each with its own north" if zones else (
            f"north and the size of a pixel differ between them; sample {example!r} is of the last: warp all to one"
        )  # fmt: skip
        sentence = f"{len(counts)} reference systems in one set: {listed(said)}: {means}"
        yield Finding(
            "projection", "crs", sentence, False, len(counts), said[:20], severity="info" if zones else "warning"
        )
    yield from _pixels(table)


def _pixels(table: pd.DataFrame) -> Iterator[Finding]:
    if not {*BOUNDS, "width", "height"} <= {*map(str, table.columns)}:
        return
    left, bottom, right, top, width, height = (
        pd.to_numeric(table[c], errors="coerce").to_numpy(float) for c in (*BOUNDS, "width", "height")
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.stack([(right - left) / width, (top - bottom) / height])
    known = np.isfinite(size).all(0)
    usual = np.median(size[:, known], 1, keepdims=True) if known.any() else size[:, :1]
    odd = np.flatnonzero(known & (np.abs(size / usual - 1) > APART).any(0))
    if len(odd):
        row = int(odd[0])
        names = tuple(map(str, table["id"].iloc[odd[:20]]))
        sentence = (
            f"{len(odd):,} of {len(table):,} samples have pixels of another size than most, {usual[0, 0]:g} x {usual[1, 0]:g} in "
            f"units of their reference system: sample {names[0]!r} has {size[0, row]:g} x {size[1, row]:g}; resample them"
        )
        yield Finding("projection", "pixel size", sentence, False, len(odd), names)
