"""BigEarthNet v2 as published for reading by key: one LMDB, in which each patch of a sensor is a value of safetensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from multimodal_lab.data.readers.lmdb import tensors
from multimodal_lab.data.readers.lmdb_file import LmdbFile


class LmdbPatches:
    """The patches of `samples` (columns `patch_id` and `s1_name`) in the LMDB `path`, called `name`, an array (H, W) a band."""

    def __init__(self, path: Path, name: str, samples: pd.DataFrame) -> None:
        self.name = name
        self._file = LmdbFile(path, name)
        self.place = self._file.data.name if path.is_file() else f"{name}/{self._file.data.name}"
        self._keys = {"s2": samples["patch_id"].tolist(), "s1": samples["s1_name"].tolist()}

    def absent(self, sensor: str) -> list[int]:
        """The rows without a value; only keys are looked up."""
        keys = [b"" if key is None else key.encode() for key in self._keys[sensor]]
        there = dict(zip(sorted({*keys} - {b""}), self._file.have(sorted({*keys} - {b""}))))
        return [row for row, key in enumerate(keys) if not there.get(key, False)]

    def read(self, row: int, sensor: str, bands: list[str]) -> dict[str, np.ndarray] | None:
        """The bands asked for that there are; None where the patch is not there."""
        key = self._keys[sensor][row]
        value = None if key is None else self._file.get(key.encode())
        if value is None:
            return None
        return tensors(value, f"{self.name}: {key}")
