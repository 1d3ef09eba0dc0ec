"""Bands of pairs of patches, wherever they are stored: there, of one shape in all patches, and on one grid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import pandas as pd

from multimodal_lab.data.readers.bigearthnet_facts import COARSE, SENSORS
from multimodal_lab.data.readers.regrid import Rule, regrid
from multimodal_lab.data.source import DataError
from multimodal_lab.text import some

Shape = tuple[tuple[int, ...], np.dtype]
CALLED = {"s2": "Sentinel-2", "s1": "Sentinel-1"}


class Patches(Protocol):
    """Where the patches of a sample table are: an LMDB or folders."""

    name: str

    def absent(self, sensor: str) -> list[int]:
        """The rows of the table without a patch of this sensor (`s1`, `s2`)."""
        ...

    def read(self, row: int, sensor: str, bands: list[str]) -> dict[str, np.ndarray] | None:
        """(H, W) of each band that is there, of those asked for at least; None without a patch."""
        ...


@dataclass
class Read:
    """values, lost: (H, W) of each band, and where it was not measured, bool, of those where there is such a pixel. absent:
    bands of a sensor whose patch is not there."""

    values: dict[str, np.ndarray] = field(default_factory=dict)
    lost: dict[str, np.ndarray] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)


class Planes:
    """The bands of the `patches` of a table. resample: how those of 20 and 60 m come to the grid of 10 m, see `regrid`. nodata:
    the value of Sentinel-2 that was not measured. missing: whether a patch may lack a sensor. The shapes and types of the first
    patch of a sensor are those that every other must have.
    """

    def __init__(
        self,
        patches: Patches,
        samples: pd.DataFrame,
        *,
        resample: Rule,
        nodata: int | None,
        missing: Literal["refuse", "keep"],
    ) -> None:
        self.patches, self.resample, self.nodata = patches, resample, nodata
        self._names = samples["patch_id"].tolist(), samples["s1_name"].tolist()
        self.notes = self._complete(missing)
        self._first = {sensor: self._shapes(sensor) for sensor in SENSORS}
        fine = [s for _, shapes in self._first.values() for band, (s, _) in shapes.items() if band not in COARSE]
        if not fine:
            raise DataError(f"{patches.name}: the first patches have no band of 10 m (B02, B03, B04, B08, VV, VH)")
        self.grid = fine[0]

    def read(self, row: int, bands: Iterable[str]) -> Read:
        """`DataError` names the patch of a band that is not there, or of another shape or type than the first patch's."""
        made = Read()
        for sensor, own in SENSORS.items():
            names = [band.name for band in own if band.name in bands]
            found = self.patches.read(row, sensor, names) if names else {}
            for name in names:
                if found is None:
                    made.absent.add(name)
                else:
                    made.values[name], lost = self._plane(row, sensor, name, found)
                    made.lost |= {} if lost is None else {name: lost}
        return made

    def _plane(
        self, row: int, sensor: str, name: str, found: dict[str, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        first, shapes = self._first[sensor]
        if name not in found:
            held = ", ".join(sorted(found)) or "none of those asked for"
            raise DataError(f"{self.patches.name}: {self._called(row, sensor)}: no band {name}; it has {held}")
        x = found[name]
        if name in shapes and (x.shape, x.dtype) != shapes[name]:
            shape, dtype = shapes[name]
            raise DataError(
                f"{self.patches.name}: {self._called(row, sensor)}: {name} is {sized(x)} of {x.dtype}, expected "
                f"{' x '.join(map(str, shape))} of {dtype} as in {first}"
            )
        lost = x == self.nodata if sensor == "s2" and self.nodata is not None else None
        lost = lost if lost is not None and lost.any() else None
        if self.resample == "none" or x.shape == self.grid:
            return x, lost
        made, gone = regrid(x[None], None if lost is None else lost[None], self.grid, self.resample)  # type: ignore[arg-type]
        return made[0], None if gone is None else gone[0]

    def _called(self, row: int, sensor: str) -> str:
        patch, pair = (names[row] for names in self._names)
        return str(patch) if sensor == "s2" else f"{pair or 'no s1_name'} (of {patch})"

    def _complete(self, missing: str) -> list[str]:
        """Refuse, or tell of, rows of the table that have no patch."""
        notes = []
        for sensor, called in CALLED.items():
            rows = self.patches.absent(sensor)
            said = (
                f"{self.patches.name}: no {called} patch for {len(rows):,} of {len(self._names[0]):,} rows of the table"
            )
            said = f"{said}: {some([self._called(row, sensor) for row in rows])}"
            if rows and missing == "refuse":
                raise DataError(f"{said} (data.source.missing=keep allows gaps)")
            if len(rows) == len(self._names[0]) and sensor == "s2":
                raise DataError(said)
            notes += [said] if rows else []
        return notes

    def _shapes(self, sensor: str) -> tuple[str, dict[str, Shape]]:
        """The first patch of a sensor that is there, and the shape and type of each of its bands."""
        names = [band.name for band in SENSORS[sensor]]
        for row in range(len(self._names[0])):
            if (found := self.patches.read(row, sensor, names)) is not None:
                return self._called(row, sensor), {name: (x.shape, x.dtype) for name, x in found.items()}
        return "", {}


def sized(x: np.ndarray) -> str:
    """Its shape, as 120 x 120."""
    return " x ".join(map(str, x.shape))
