"""Neighbouring patches of the ground in two splits."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import pandas as pd

from multimodal_lab.data.audit.finding import Finding, listed
from multimodal_lab.data.audit.membership import Crossing, Parts
from multimodal_lab.data.split import linked, spatial

REACH = 2.0  # sides of a patch, from centre to centre: nearer patches touch, or have less than one patch between them
DEGREE_KM = 111.195
BLOCKS = 20  # patches a side of the blocks that are suggested


def neighbours(samples: pd.DataFrame, parts: Parts) -> Iterator[Finding]:
    """Test (and val) patches that touch, or nearly, a training patch on the ground; a warning.

    What lies side by side looks alike, so that a random split of patches tests what was nearly trained on. Of samples with lon,
    lat and bounds; see `coordinates`.
    """
    if not {"lon", "lat", "crs", "top", "bottom"} <= {*samples.columns} or "train" not in parts.names:
        return
    known = samples[["lon", "lat"]].notna().all(axis=1).to_numpy()
    train = np.flatnonzero(known & (parts.home == parts.names.index("train")))
    held = np.flatnonzero(known & (parts.home > parts.names.index("train")))
    if not len(train) or not len(held):
        return
    side = sides_km(samples)
    apart, nearest = spatial.nearest_km(samples, held, train)
    near = apart < REACH * np.maximum(side[held], side[nearest])
    found = Crossing(held[near], nearest[near], parts)
    if not found:
        return
    reach = REACH * float(np.median(side[held[near]]))
    pairs = found.pairs("beside")
    sentence = (
        f"{found.counted} lie nearer than {reach:.3g} km to a training sample, {apart[near].min():.3g} km at the least: "
        f"{listed(pairs)}; neighbouring patches in different splits look alike, {_cure(parts.by, reach)}"
    )
    yield Finding("neighbouring patches", "lon, lat", sentence, False, len(found.held), pairs)


def sides_km(samples: pd.DataFrame) -> np.ndarray:
    """(N,) the height of each patch in km, by its bounds; degrees where its projection counts in such."""
    height = (samples["top"] - samples["bottom"]).to_numpy(float)
    degrees = samples["crs"].astype(str).eq("EPSG:4326").to_numpy()
    return np.where(degrees, height * DEGREE_KM, height / 1000)


def _cure(by: Collection[str], reach: float) -> str:
    if spatial.COLUMN in by:
        return f"data.split.buffer_km={reach:.2g} leaves out those at the edges of blocks"
    km = reach / REACH * BLOCKS
    return f"{linked.typed([*by, spatial.COLUMN])} data.split.block_km={km:.2g} keeps them apart, but for the edges of blocks"
