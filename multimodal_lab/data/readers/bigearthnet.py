"""Reader of BigEarthNet: pairs of Sentinel-2 and Sentinel-1 patches of 1.2 km with several of nineteen labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from multimodal_lab.data.readers.bigearthnet_facts import S1, S2, SENSORS
from multimodal_lab.data.readers.bigearthnet_folders import FolderPatches, find_patches
from multimodal_lab.data.readers.bigearthnet_json import from_json
from multimodal_lab.data.readers.bigearthnet_lmdb import LmdbPatches
from multimodal_lab.data.readers.bigearthnet_planes import Planes, Read, sized
from multimodal_lab.data.readers.bigearthnet_present import with_present
from multimodal_lab.data.readers.bigearthnet_table import Flagged, finished, published
from multimodal_lab.data.readers.folder import existing, given
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.regrid import Rule
from multimodal_lab.data.source import DataError, Raw, full_scale
from multimodal_lab.data.streams.bands import indices, need_kind
from multimodal_lab.data.synthetic.sentinel import Sentinel
from multimodal_lab.device.trim import trim
from multimodal_lab.types import Band, Stream

MADE = "made-up patches: data.root is not given"
REAL = "data.root=/data/BigEarthNet-V2 reads the real ones"


class BigEarthNet:
    """BigEarthNet below `root`, or, without a root, the made-up patches `made`, in the same columns and units.

    layout: `lmdb`, the LMDB of version 2; `folders`, a folder a patch with a GeoTIFF a band, of version 2 or 1; `auto` takes the
    LMDB where it is there. metadata: the table of version 2 with a row a patch; of folders of version 1, without it, labels
    and pairs stand in JSON files. The bands are B01 … B12 of Sentinel-2 (uint16, reflectance x 10000) and VV, VH of
    Sentinel-1 (float32, dB), by name in any order of storing. snow, clouds: whether patches with `contains_seasonal_snow`
    or `contains_cloud_or_shadow` are left out (`exclude`), or kept; those that `metadata` leaves out stand in the table
    `flagged`. missing: whether a patch may lack one of its sensors (`keep`). resample: how bands of 20 and 60 m are brought to
    the grid of 10 m; `nearest` is what was published, `none` leaves them as stored, for streams of one size. nodata: the
    value of Sentinel-2 that was not measured, None: each is. present: {column: one of the nineteen labels}, columns `yes` or
    `no` that are added to the table. Every patch must have the shapes and types of the first.
    """

    def __init__(
        self,
        root: str | None,
        *,
        made: Sentinel,
        layout: Literal["auto", "lmdb", "folders"] = "auto",
        lmdb: str = "BENv2.lmdb",
        metadata: str = "metadata.parquet",
        flagged: str = "metadata_for_patches_with_snow_cloud_or_shadow.parquet",
        snow: Flagged = "exclude",
        clouds: Flagged = "exclude",
        missing: Literal["refuse", "keep"] = "refuse",
        resample: Rule = "nearest",
        nodata: int | None = 0,
        present: dict[str, str] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.bands: tuple[Band, ...] = (*S2, *S1)
        self.identity: Any = (resample, nodata)
        self.samples: pd.DataFrame
        self.notes: list[str]
        self._made = made if root is None else None
        self._folders: FolderPatches | None = None
        if root is None:
            self.samples, self.identity, self.notes = (
                with_present(made.samples, present or {}),
                made.identity,
                [f"{MADE} ({REAL})"],
            )
            self.stands_in = MADE
            return
        folder, limits, keep = existing(root), limits or Limits(), {"snow": snow, "clouds": clouds}
        by_key = layout == "lmdb" or (layout == "auto" and (folder / lmdb).exists())
        found = {} if by_key else _found(folder, lmdb)
        has_table = by_key or (folder / metadata).exists()
        if has_table:
            files = [given(folder, metadata, "data.source.metadata")]
            files += [folder / flagged] if "keep" in keep.values() and (folder / flagged).exists() else []
            rows, notes = published(files, limits)
        else:
            rows, notes = from_json(folder, found, metadata)
        limits.count(metadata, len(rows))
        self.samples, told = finished(rows, keep, metadata if has_table else folder.name)
        self.samples = with_present(self.samples, present or {})
        del rows
        trim()
        if by_key:
            patches: Any = LmdbPatches(folder / lmdb, lmdb, self.samples)
            self.samples.insert(1, "path", pd.Series(patches.place, index=self.samples.index, dtype=object))  # one text
        else:
            patches = self._folders = FolderPatches(folder, found, self.samples, limits)
            self.samples.insert(1, "path", patches.paths())
        self._planes = Planes(patches, self.samples, resample=resample, nodata=nodata, missing=missing)
        self.notes = [*notes, *told, *self._planes.notes]

    @staticmethod
    def sensors_of(_: Mapping[str, Any]) -> dict[str, Sequence[str]]:
        """{sensor: its bands}."""
        return {sensor: [b.name for b in bands] for sensor, bands in SENSORS.items()}

    @property
    def stored_files(self) -> list[str]:
        """Every file of folders."""
        return [*self._folders.files()] if self._folders else []

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """The bands asked for on one grid; None of a stream of which one sensor is missing."""
        if self._made is not None:
            return self._made.read(index, streams)
        need_kind(streams, ["image"], self._planes.patches.name)
        asked = {s.name: [self.bands[i].name for i in indices(s, self.bands)] for s in streams}
        read = self._planes.read(index, {name for names in asked.values() for name in names})
        inputs = {s: None if read.absent & {*names} else _stacked(s, names, read) for s, names in asked.items()}
        there = {s: x for s, x in inputs.items() if x is not None}
        missing = {s: _lost(asked[s], read, x.shape[1:]) for s, x in there.items() if read.lost.keys() & {*asked[s]}}
        return Raw(dict(inputs), None, {s: full_scale(x.dtype) for s, x in there.items()}, missing)


def _found(root: Path, lmdb: str) -> dict[str, dict[str, str]]:
    """The folders of patches; `DataError` where there is neither one of Sentinel-2 nor the LMDB."""
    found = find_patches(root)
    if not found["s2"]:
        raise DataError(
            f"{root}: neither {lmdb} nor folders of Sentinel-2 patches such as BigEarthNet-S2/…/S2A_MSIL2A_…_26_57, there or "
            "two folders below"
        )
    return found


def _stacked(stream: str, names: list[str], read: Read) -> np.ndarray:
    """(C, H, W) in the order asked; bands of several sizes are refused."""
    planes = [read.values[name] for name in names]
    if len({x.shape for x in planes}) > 1:
        said = ", ".join(f"{name} {sized(x)}" for name, x in zip(names, planes))
        raise DataError(
            f"modality.{stream}: bands of several sizes ({said}); data.source.resample=nearest brings them to one grid"
        )
    return np.stack(planes)


def _lost(names: list[str], read: Read, shape: tuple[int, ...]) -> np.ndarray:
    return np.stack([read.lost.get(name, np.zeros(shape, dtype=bool)) for name in names])
