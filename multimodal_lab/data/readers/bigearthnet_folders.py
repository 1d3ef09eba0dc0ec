"""BigEarthNet as folders: one of a patch and sensor, in it a GeoTIFF a band, and in version 1 a JSON file of labels."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from multimodal_lab.data.readers.bigearthnet_facts import SENSORS
from multimodal_lab.data.readers.folder import readable
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.tiff import read_bands
from multimodal_lab.data.readers.tiff_header import read_header
from multimodal_lab.data.source import DataError

NAMED = {sensor: re.compile(rf"{sensor.upper()}[A-D]_\w+_\d+_\d+") for sensor in SENSORS}
DEPTH = 3  # folders below the root: BigEarthNet-S2/product/patch
MAPS = "Reference_Maps"  # holds a folder of each patch too, with a map of classes


def find_patches(root: Path) -> dict[str, dict[str, str]]:
    """{sensor: {patch: its folder, relative to `root`}}; a patch that is there twice is a `DataError`. No file is opened."""
    found: dict[str, dict[str, str]] = {sensor: {} for sensor in NAMED}
    for folder in _folders(root, DEPTH):
        name = folder.rpartition("/")[2]
        sensor = next((sensor for sensor, pattern in NAMED.items() if pattern.fullmatch(name)), None)
        if sensor is None:
            continue
        if name in found[sensor]:
            raise DataError(f"{root}: patch {name} is there twice: {found[sensor][name]} and {folder}")
        found[sensor][name] = folder
    return found


class FolderPatches:
    """The patches of `samples` (columns `patch_id` and `s1_name`) in the `folders` that `find_patches` gave."""

    def __init__(self, root: Path, folders: dict[str, dict[str, str]], samples: pd.DataFrame, limits: Limits) -> None:
        self.name, self.root, self.limits = root.name, root, limits
        names = {"s2": samples["patch_id"], "s1": samples["s1_name"]}
        self._folders = {sensor: [folders[sensor].get(name) for name in names[sensor]] for sensor in SENSORS}

    def paths(self) -> list[str | None]:
        """The first file of each Sentinel-2 patch, relative to the root."""
        return [None if folder is None else _file(folder, "B01") for folder in self._folders["s2"]]

    def files(self) -> Iterator[str]:
        """Every file, relative to the root."""
        for sensor, bands in SENSORS.items():
            yield from (_file(folder, b.name) for folder in self._folders[sensor] if folder for b in bands)

    def absent(self, sensor: str) -> list[int]:
        """The rows without a folder."""
        return [row for row, folder in enumerate(self._folders[sensor]) if folder is None]

    def read(self, row: int, sensor: str, bands: list[str]) -> dict[str, np.ndarray] | None:
        """The bands asked for that there are; None where the patch is not there."""
        folder = self._folders[sensor][row]
        return None if folder is None else {b: self._band(_file(folder, b)) for b in bands if self._there(folder, b)}

    def _there(self, folder: str, band: str) -> bool:
        return (self.root / _file(folder, band)).is_file()

    def _band(self, name: str) -> np.ndarray:
        header = read_header(self.root / name, name, 1, "from_header", self.limits)
        return np.asarray(read_bands(str(self.root / name), name, header, [0])[0])


def _file(folder: str, band: str) -> str:
    return f"{folder}/{folder.rpartition('/')[2]}_{band}.tif"


def _folders(root: Path, depth: int, below: str = "") -> Iterator[str]:
    """Folders of patches, sorted, relative to `root`; those of patches are not entered."""
    with readable(str(root / below), "folder"), os.scandir(root / below) as entries:
        names = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith(".") and e.name != MAPS)
    for name in names:
        place = f"{below}/{name}" if below else name
        if any(pattern.fullmatch(name) for pattern in NAMED.values()):
            yield place
        elif depth > 1:
            yield from _folders(root, depth - 1, place)
