"""Bands and rows of HDF5 data sets: their order, streams across several, and many rows of vectors at once."""

from __future__ import annotations

import h5py
import numpy as np

from multimodal_lab.data.source import Card, DataError
from multimodal_lab.types import Band, Stream


def read_rows(data: h5py.Dataset, rows: np.ndarray, bands: list[int]) -> np.ndarray:
    """(n, C) of the rows (n,) of a data set (N, all its bands), in their order; bands ascend.

    One call a run of neighbours, and one for all where at least every second row is wanted: a call takes as long as
    reading some 100 KB.
    """
    order = np.argsort(rows, kind="stable")
    ascending = rows[order]
    low, high = int(ascending[0]), int(ascending[-1]) + 1
    band = slice(bands[0], bands[-1] + 1)
    if high - low <= 2 * len(rows):
        found = data[low:high, band]
        made = found if len(found) == len(rows) and (rows[1:] > rows[:-1]).all() else found[rows - low]
    else:
        made = np.empty((len(rows), band.stop - band.start), data.dtype)
        for run in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(ascending) > 1) + 1):
            first, last = int(ascending[run[0]]), int(ascending[run[-1]]) + 1
            made[order[run]] = data[first:last, band][ascending[run] - first]
    return columns(made, [i - bands[0] for i in bands])


def columns(values: np.ndarray, places: list[int]) -> np.ndarray:
    """(n, C) of (n, all): itself where `places` are all in order."""
    return values if places == [*range(values.shape[1])] else values[:, places]


def ordered(card: Card, datasets: dict[str, list[str]]) -> tuple[Band, ...]:
    """The card's bands as the data sets hold them; `DataError` where the two differ."""
    known = {b.name: b for b in card.bands}
    names = [n for group in datasets.values() for n in group]
    if sorted(names) != sorted(known):
        wrong = sorted(set(names) ^ set(known)) or sorted({n for n in names if names.count(n) > 1})
        raise DataError(f"data.source.datasets and data.source.card.bands differ in {', '.join(wrong)}")
    return tuple(known[n] for n in names)


def stacked(stream: Stream, found: list[tuple[str, int]], values: dict[str, np.ndarray], path: str) -> np.ndarray:
    """A stream across data sets; float32 where they are of two types."""
    parts = [values[name][place] for name, place in found]
    shapes = {p.shape for p in parts}
    if len(shapes) > 1:
        raise DataError(f"{path}: stream {stream.name} takes bands of different sizes: {sorted(shapes)}")
    kinds = {p.dtype for p in parts}
    return np.stack(parts) if len(kinds) == 1 else np.stack([p.astype(np.float32) for p in parts])
