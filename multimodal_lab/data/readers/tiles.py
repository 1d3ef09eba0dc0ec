"""Tiles that were cut with overlap from one picture into files: found by their names, made sure of by their pixels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from multimodal_lab.data.readers.crops import BLOCKS, blocks, crossing
from multimodal_lab.data.source import DataError
from multimodal_lab.types import Stream

# `plot7_0000_0032`, `plot7_y0_x32`: what was cut, a number, and another one at the end.
# Whole runs of digits, each looked at once: the time is linear whatever a name holds.
PLACE = re.compile(r"(.*?)(?<!\d)(\d++)(\D++)(\d++)")
PAIRS = 3  # neighbours that are compared down and across
ALIKE = 0.98  # correlation from which compressed pixels are the same
BETTER = 0.01  # by which it must be above that without the step: two photographs of one thing are alike where they lie
ENOUGH = 20  # pictures that are none, after which names are taken to mean something else
Read = Callable[[int], np.ndarray]


def mark(source: Any) -> None:
    """Where neighbours share pixels, give the tiles of `source` columns `tiles`, what each was cut from, `top`, `left`, `block`.

    A few are read to make sure of it: two numbers at the end of a name may be anything. Blocks are as of crops, see
    `crops.blocks`, of each picture for itself.
    """
    table = source.samples
    if {"block", "tiles", "top", "left"} & {*table.columns} or not {"height", "width"} <= {*table.columns}:
        return

    def read(row: int) -> np.ndarray:
        return np.asarray(source.read(row, [Stream("tile", bands=source.bands[:3])]).inputs["tile"], dtype=np.float64)

    found: dict[str, pd.DataFrame] = {}
    for looked, (name, own) in enumerate(_pictures(table)):
        if (tiles := _placed(own, read)) is not None:
            found[name] = tiles
        elif not found and looked >= ENOUGH:
            break
    if not found:
        return
    block = pd.Series(table["id"].to_numpy(dtype=object), index=table.index)  # a picture that is no tile has its own
    cut = block.copy()
    top, left = (pd.Series(0, index=table.index) for _ in range(2))
    for name, tiles in found.items():
        downs, acrosses = np.unique(tiles.top), np.unique(tiles.left)
        wanted = -(-BLOCKS // len(found))
        down, across = blocks((downs, acrosses), (int(tiles.height.max()), int(tiles.width.max())), wanted)
        homes = zip(down[np.searchsorted(downs, tiles.top)], across[np.searchsorted(acrosses, tiles.left)])
        block[tiles.index] = [f"{name}:{a}_{b}" if min(a, b) >= 0 else None for a, b in homes]
        cut[tiles.index], top[tiles.index], left[tiles.index] = name, tiles.top, tiles.left
    source.samples = table.assign(tiles=cut, top=top, left=left, block=block)
    source.samples.attrs["overlapping"] = "block"
    rows = [row for own in found.values() for row in own.index]
    example = table["path"][rows[0]]
    source.notes = [*source.notes, crossing(block[rows], f"tiles cut to files ({example}, …)")]


def _pictures(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows that may be tiles of one picture: their names differ in the two last numbers alone."""
    parts = table["id"].str.extract(f"^{PLACE.pattern}$").dropna()
    if parts.empty:
        return
    places = table.loc[parts.index, ["height", "width"]].assign(
        name=parts[0], between=parts[2], first=parts[1].astype(float), second=parts[3].astype(float)
    )
    for (name, _), own in places.groupby(["name", "between"], sort=True):
        if len(own) >= 4 and not own.duplicated(["first", "second"]).any():
            yield str(name), own


def _placed(own: pd.DataFrame, read: Read) -> pd.DataFrame | None:
    """The same with `top` and `left`, where the numbers are pixels and neighbours share them; else None."""
    for top, left in (("first", "second"), ("second", "first")):
        tiles = own.assign(top=own[top].astype(int), left=own[left].astype(int))
        pairs = [*_neighbours(tiles, "top", "left", "height"), *_neighbours(tiles, "left", "top", "width")]
        try:
            said = [_same(read(a), read(b), down, across) for a, b, down, across in pairs]
        except DataError:  # whoever reads it says why
            return None
        if True in said and False not in said:
            return tiles
    return None


def _neighbours(tiles: pd.DataFrame, along: str, other: str, extent: str) -> list[tuple[int, int, int, int]]:
    """A few pairs of rows, one step of more than a pixel and less than a tile apart, and that step down and across."""
    own = tiles.sort_values([other, along])
    place, line, room = (own[k].to_numpy() for k in (along, other, extent))
    step = np.diff(place)
    at = np.flatnonzero((line[1:] == line[:-1]) & (step > 1) & (step < np.minimum(room[1:], room[:-1])))
    rows = own.index.to_numpy()
    way = (1, 0) if along == "top" else (0, 1)
    return [(rows[i], rows[i + 1], step[i] * way[0], step[i] * way[1]) for i in at[:: max(1, len(at) // PAIRS)][:PAIRS]]


def _same(a: np.ndarray, b: np.ndarray, down: int, across: int) -> bool | None:
    """Whether what two tiles (C, H, W) share by their places is the same picture; None where it is blank."""
    height, width = min(a.shape[1] - down, b.shape[1]), min(a.shape[2] - across, b.shape[2])
    x, y, unmoved = (
        own[:, top : top + height, left : left + width].ravel()
        for own, top, left in ((a, down, across), (b, 0, 0), (a, 0, 0))
    )
    if x.std() == 0 and y.std() == 0:
        return None
    if np.array_equal(x, y):
        return True
    alike = np.corrcoef([x, y, unmoved])[1]
    return bool(alike[0] > ALIKE and alike[0] > alike[2] + BETTER)
