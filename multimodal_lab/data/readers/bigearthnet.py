"""Reader of BigEarthNet: pairs of Sentinel-2 and Sentinel-1 patches of 1.2 km with several of nineteen labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd

from multimodal_lab.data.readers.bigearthnet_facts import COARSE, S1, S2, SENSORS
from multimodal_lab.data.readers.bigearthnet_lmdb import LmdbPatches
from multimodal_lab.data.readers.bigearthnet_table import FLAGS, Flagged, read_patches
from multimodal_lab.data.readers.folder import existing, given, some
from multimodal_lab.data.readers.grid import Method, to_grid
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.source import DataError, Raw, full_scale
from multimodal_lab.data.streams.bands import indices, need_kind
from multimodal_lab.data.synthetic.sentinel import Sentinel
from multimodal_lab.text import expected_one_of
from multimodal_lab.types import Band, Stream

MADE = "made-up patches: data.root is not given (data.root=/data/BigEarthNet-V2 reads the real ones)"


class Patches(Protocol):
    """Where the patches of a sample table are: an LMDB or folders."""

    name: str

    def absent(self, sensor: str) -> list[int]:
        """The rows of the table without a patch of this sensor (`s1`, `s2`)."""
        ...

    def read(self, row: int, sensor: str, bands: list[str]) -> dict[str, np.ndarray] | None:
        """(H, W) of each band that is there, of those asked for at least; None without a patch."""
        ...


class BigEarthNet:
    """Version 2 of BigEarthNet below `root`: the LMDB `lmdb`, and `metadata`, a table with a row a patch. Without a root, the
    made-up patches `made`, in the same columns and units.

    The bands are B01 … B12 of Sentinel-2 (uint16, reflectance x 10000) and VV, VH of Sentinel-1 (float32, dB), by name in any
    order of storing. snow, clouds: whether patches with `contains_seasonal_snow` or `contains_cloud_or_shadow` are left out
    (`exclude`), or kept; those that `metadata` leaves out stand in the table `flagged`. missing: whether a patch may lack one
    of its sensors (`keep`). resample: how bands of 20 and 60 m are brought to the grid of 10 m; `nearest` is what was
    published, `none` leaves them as stored, for streams of one size. nodata: the value of Sentinel-2 that was not measured,
    None: each is. Every patch must have the shapes and types of the first.
    """

    def __init__(
        self,
        root: str | None,
        *,
        made: Sentinel,
        lmdb: str = "BENv2.lmdb",
        metadata: str = "metadata.parquet",
        flagged: str = "metadata_for_patches_with_snow_cloud_or_shadow.parquet",
        snow: Flagged = "exclude",
        clouds: Flagged = "exclude",
        missing: Literal["refuse", "keep"] = "refuse",
        resample: Method | Literal["none"] = "nearest",
        nodata: int | None = 0,
        limits: Limits | None = None,
    ) -> None:
        self.bands: tuple[Band, ...] = (*S2, *S1)
        self.resample, self.nodata = resample, nodata
        self.made = made if root is None else None
        self.samples: pd.DataFrame
        self.identity: Any = (resample, nodata)
        if root is None:
            self.samples, self.identity, self.notes = made.samples, made.identity, [MADE]
            return
        folder = existing(root)
        files = [given(folder, metadata, "data.source.metadata")]
        keep = {"snow": snow, "clouds": clouds}
        if "keep" in keep.values() and (folder / flagged).exists():
            files.append(folder / flagged)
        self.samples, self.notes = read_patches(files, keep, limits or Limits())
        self._told_kept(keep, files[-1].name)
        self.patches: Patches = self._lmdb(folder, lmdb)
        self._complete(missing)
        self._first = {sensor: self._shapes(sensor) for sensor in SENSORS}

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """The bands asked for on one grid; None of a stream of which one sensor is missing."""
        if self.made is not None:
            return self.made.read(index, streams)
        need_kind(streams, ["image"], self.patches.name)
        asked = {s.name: [self.bands[i] for i in indices(s, self.bands)] for s in streams}
        wanted = {band: None for bands in asked.values() for band in bands}
        planes: dict[str, np.ndarray] = {}
        gone: dict[str, np.ndarray] = {}
        absent = set[str]()
        for sensor, bands in SENSORS.items():
            if names := [band.name for band in wanted if band in bands]:
                found = self.patches.read(index, sensor, names)
                if found is None:
                    absent |= {*names}
                    continue
                for name in names:
                    planes[name], lost = self._plane(index, sensor, name, found)
                    if lost is not None:
                        gone[name] = lost
        inputs: dict[str, Any] = {}
        missing: dict[str, np.ndarray] = {}
        for stream, own in asked.items():
            names = [band.name for band in own]
            if absent & {*names}:
                inputs[stream] = None
                continue
            self._one_size(stream, names, planes)
            inputs[stream] = np.stack([planes[name] for name in names])
            if gone.keys() & {*names}:
                nothing = np.zeros(inputs[stream].shape[1:], dtype=bool)
                missing[stream] = np.stack([gone.get(name, nothing) for name in names])
        scales = {stream: full_scale(x.dtype) for stream, x in inputs.items() if x is not None}
        return Raw(inputs, None, scales, missing)

    def _plane(
        self, index: int, sensor: str, name: str, found: dict[str, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """One band on the grid, and where it has no value."""
        first, shapes = self._first[sensor]
        where = f"{self.patches.name}: {self._named(index, sensor)}"
        if name not in found:
            raise DataError(f"{where}: no band {name}; {expected_one_of(name, list(found))}")
        x = found[name]
        if (x.shape, x.dtype) != shapes.get(name, (x.shape, x.dtype)):
            shape, kind = shapes[name]
            raise DataError(
                f"{where}: {name} is {_size(x.shape)} of {x.dtype}, expected {_size(shape)} of {kind} as in {first}"
            )
        lost = x == self.nodata if sensor == "s2" and self.nodata is not None else None
        lost = lost if lost is not None and lost.any() else None
        if self.resample == "none":
            return x, lost
        size = self._grid
        return to_grid(x, size, self.resample), None if lost is None else to_grid(lost, size, "nearest")

    @property
    def _grid(self) -> tuple[int, int]:
        """Pixels of 10 m, as the first patch has them."""
        return next(
            size for sensor in SENSORS for name, (size, _) in self._first[sensor][1].items() if name not in COARSE
        )  # type: ignore[return-value]

    def _one_size(self, stream: str, names: list[str], planes: dict[str, np.ndarray]) -> None:
        if len({planes[name].shape for name in names}) > 1:
            said = ", ".join(f"{name} {_size(planes[name].shape)}" for name in names)
            raise DataError(
                f"modality.{stream}: bands of several sizes ({said}); data.source.resample=nearest brings them to one grid"
            )

    def _lmdb(self, folder: Any, lmdb: str) -> Patches:
        made = LmdbPatches(folder / lmdb, lmdb, self.samples)
        self.samples.insert(1, "path", made.place)
        return made

    def _named(self, index: int, sensor: str) -> str:
        patch, pair = (self.samples[c].iloc[index] for c in ("patch_id", "s1_name"))
        return str(patch) if sensor == "s2" else f"{pair or 'no s1_name'} of {patch}"

    def _complete(self, missing: str) -> None:
        """Refuse, or tell of, patches that are in the table alone."""
        for sensor, of in {"s2": "Sentinel-2", "s1": "Sentinel-1"}.items():
            rows = self.patches.absent(sensor)
            if not rows:
                continue
            said = f"{self.patches.name}: no {of} patch for {len(rows):,} of {len(self.samples):,} rows of the table: "
            said += some([self._named(row, sensor) for row in rows])
            if len(rows) == len(self.samples) or missing == "refuse":
                raise DataError(f"{said} (data.source.missing=keep allows gaps)" if missing == "refuse" else said)
            self.notes.append(said)

    def _shapes(self, sensor: str) -> tuple[str, dict[str, tuple[tuple[int, ...], np.dtype]]]:
        """The first patch of a sensor, and the shape and type of each of its bands."""
        names = [band.name for band in SENSORS[sensor]]
        for row in range(len(self.samples)):
            if (found := self.patches.read(row, sensor, names)) is not None:
                return self._named(row, sensor), {name: (x.shape, x.dtype) for name, x in found.items()}
        return "", {}

    def _told_kept(self, keep: dict[str, Flagged], file: str) -> None:
        for name, column in FLAGS.items():
            if keep[name] == "keep" and column in self.samples and not self.samples[column].any():
                self.notes.append(f"data.source.{name}=keep: no patch of {file} has {column}")


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
