"""Scene pixels shared by patches of two splits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from multimodal_lab.data import kinds
from multimodal_lab.data.audit.finding import Finding, listed
from multimodal_lab.data.audit.membership import Crossing, Parts
from multimodal_lab.data.prepared import Prepared
from multimodal_lab.data.source import Source


def shared(data: Prepared, parts: Parts) -> Iterator[Finding]:
    """Samples whose patch has a pixel that a patch of an earlier part reads; void where one is of the test part.

    Of a source that tells the `window(index)` of a sample, its rows and columns of the scene `path`, if it has patches
    at all: one vector a pixel shares none.
    """
    window = windows(data.reader.source)
    if window is None or not any(kinds.of(s).spatial for s in data.streams.values()):
        return
    paths = data.samples["tiles" if "tiles" in data.samples else "path"].astype(str).to_numpy()
    held, first = [], []
    for path in np.unique(paths):
        rows = np.flatnonzero((paths == path) & (parts.home >= 0))
        owner: np.ndarray = np.full((1, 1), -1)
        for row in rows[np.argsort(parts.home[rows], kind="stable")]:
            down, across = window(int(row))
            owner = _grown(owner, int(down.max()) + 1, int(across.max()) + 1)
            own = owner[np.ix_(down, across)]
            others = own[(own >= 0) & (parts.home[own] < parts.home[row])]
            if len(others):
                held.append(int(row))
                first.append(int(others[0]))
            owner[np.ix_(down, across)] = np.where(own >= 0, own, row)
    found = Crossing(np.array(held, dtype=np.int64), np.array(first, dtype=np.int64), parts)
    if found:
        pairs = found.pairs("and")
        sentence = f"{found.counted} share pixels with one of an earlier part: {listed(pairs)}; {_remedy(data.samples)}"
        yield Finding("shared pixels", "path", sentence, found.tested, len(held), pairs)


def _remedy(samples: pd.DataFrame) -> str:
    """The keys that split by blocks, or by files, with the columns that there are."""
    if "block" not in samples:
        return "keep files whole (data.split.by=path), or cut patches that don't overlap"
    column = " data.split.column=split" if "split" in samples else ""
    return f"split by blocks (data.split.by=block{column}), or cut patches that don't overlap"


def windows(source: Source) -> Any:
    """The function from a sample to the rows and columns that it reads; None for a source that has no scenes."""
    if hasattr(source, "window"):
        return source.window
    table, crop = source.samples, getattr(source, "crop", None)
    if not {"top", "left"} <= {*table.columns} or not (crop or "tiles" in table):
        return None
    top, left = table["top"].to_numpy(), table["left"].to_numpy()
    height, width = ([crop] * len(table) if crop else table[side].tolist() for side in ("height", "width"))
    return lambda index: (top[index] + np.arange(height[index]), left[index] + np.arange(width[index]))


def _grown(owner: np.ndarray, height: int, width: int) -> np.ndarray:
    if owner.shape[0] >= height and owner.shape[1] >= width:
        return owner
    down, across = max(2 * owner.shape[0], height), max(2 * owner.shape[1], width)
    made = np.full((down, across), -1)
    made[: owner.shape[0], : owner.shape[1]] = owner
    return made
