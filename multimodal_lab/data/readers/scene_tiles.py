"""Reader of one scene and its label map for segmentation: tiles side by side, with the map of each, in blocks."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from multimodal_lab.bounds import Count, Fraction, Natural
from multimodal_lab.data.readers.blocks import Blocks
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.scene import Scene
from multimodal_lab.data.source import Card, DataError, Raw
from multimodal_lab.types import Band, Stream

MAP = "map"  # the field of the label map


class SceneTiles(Scene):
    """Tiles of `patch` x `patch` pixels of one cube, and the label map below each as a second field, `map`.

    A stream of kind map with `field: map` gets the class numbers as stored, 0 where a pixel is unlabelled. Files, bands and
    blocks are as in `Scene`. Tiles lie at steps of `stride` (None: side by side) within a block, and one without a labelled
    pixel is left out. In val and test, a pixel that two tiles show is labelled in the first alone, so that it is scored once.
    The samples have columns `block`, `split`, `row` and `column` (of the first pixel).
    """

    def __init__(
        self,
        root: str,
        *,
        cube: str,
        map: str,
        cube_key: str | None = None,
        map_key: str | None = None,
        axes: Literal["hwc", "chw"] = "hwc",
        card: Card | None = None,
        override: dict[str, str] | None = None,
        patch: Count = 16,
        stride: Count | None = None,
        block: Count = 32,
        train: Fraction = 0.5,
        val: Fraction = 0.1,
        test: Fraction = 0.4,
        seed: Natural = 0,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(
            root, cube=cube, map=map, cube_key=cube_key, map_key=map_key, axes=axes, card=card, override=override,
            patch=patch, stride=stride or patch, block=block, train=train, val=val, test=test, seed=seed, limits=limits,
        )  # fmt: skip
        self.field_bands = {"": self.bands, MAP: (Band(MAP),)}
        # which classes are where is in no column of the table
        self.identity = (*self.identity, "tiles", hashlib.sha256(self._classes_there.tobytes()).hexdigest())

    def window(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows and the columns of the scene, (patch,) each, that sample `index` reads; all in its own block."""
        top, left = self._at[index]
        return top + np.arange(self.patch), left + np.arange(self.patch)

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """(C, patch, patch) for an image stream, (1, patch, patch) for the map, as stored."""
        of_map = [s for s in streams if s.field == MAP]
        found = super().read(index, [s for s in streams if s.field != MAP])
        for stream in of_map:
            found.inputs[stream.name] = self._map(index)
        return found

    def _map(self, index: int) -> np.ndarray:
        rows, columns = self.window(index)
        values = self._classes_there[np.ix_(rows, columns)].copy()
        if self.samples["split"].iloc[index] != "train":
            first, end, begin, stop = self._tiles.own[index]
            outside = (rows < first) | (rows >= end)
            values[outside] = 0
            values[:, (columns < begin) | (columns >= stop)] = 0
        made: np.ndarray = values[None].astype(np.int64)
        return made

    def _table(
        self, cube: str, classes: np.ndarray, split: dict[int, str], stride: int, label: str, names: list[str] | None
    ) -> pd.DataFrame:
        self._classes_there, self._tiles = classes, cut(self.blocks, classes, self.patch, stride)
        tiles = self._tiles
        table = pd.DataFrame({"id": [f"{r}_{c}" for r, c in zip(tiles.tops, tiles.lefts)], "path": cube})
        table = table.assign(row=tiles.tops, column=tiles.lefts, block=tiles.block)
        table = table.assign(split=[split[b] for b in tiles.block.tolist()])
        home = np.array([split[b] for b in range(int(self.blocks.ids.max()) + 1)])[self.blocks.ids]
        absent = []
        for k in np.unique(classes[classes > 0]):
            lacking = sorted({*split.values()} - set(home[classes == k]))
            absent += [f"{k} (not in {', '.join(lacking)})"] if lacking else []
        if absent:
            warnings.warn(f"{cube}: too small or too clustered to be in every split: {'; '.join(absent)}", stacklevel=2)
        return table


@dataclass(frozen=True)
class Tiles:
    """tops, lefts (n,): the first row and column of each; own (n, 4): the rows and columns (first, end) that are its alone.

    block (n,): the number of the block that each lies in.
    """

    tops: np.ndarray
    lefts: np.ndarray
    own: np.ndarray
    block: np.ndarray


def cut(blocks: Blocks, classes: np.ndarray, patch: int, stride: int) -> Tiles:
    """Tiles of `patch` pixels a side at steps of `stride` within each block, the last at its edge, that hold a labelled pixel.

    Where tiles overlap, a pixel is the earlier tile's own. classes (H, W), 0 unlabelled. `DataError` for a block that is
    smaller than a tile.
    """
    found: list[tuple[int, ...]] = []
    for number in range(int(blocks.ids.max()) + 1):
        rows, columns = np.nonzero(blocks.ids == number)
        down = _starts(int(rows[0]), int(rows[-1]) + 1, patch, stride)
        across = _starts(int(columns.min()), int(columns.max()) + 1, patch, stride)
        for top, first, end in down:
            for left, begin, stop in across:
                if classes[first:end, begin:stop].any():
                    found.append((top, left, first, end, begin, stop, number))
    if not found:
        raise DataError(f"data.source.map: no tile of {patch} pixels holds a labelled pixel")
    table = np.array(found)
    return Tiles(table[:, 0], table[:, 1], table[:, 2:6], table[:, 6])


def _starts(low: int, high: int, patch: int, stride: int) -> list[tuple[int, int, int]]:
    """(start, first own, end of own) of the tiles between `low` and `high`."""
    if high - low < patch:
        raise DataError(
            f"data.source.patch: {patch} is too large for blocks of {high - low} pixels; take data.source.block "
            f"of {patch + 1} or more, or data.source.patch={high - low}"
        )
    starts = [*range(low, high - patch + 1, stride)]
    if starts[-1] + patch < high:
        starts.append(high - patch)
    return [
        (s, starts[i - 1] + patch if i and starts[i - 1] + patch > s else s, s + patch) for i, s in enumerate(starts)
    ]
