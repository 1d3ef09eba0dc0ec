"""BigEarthNet v2 as published for reading by key: one LMDB, in which each patch of a sensor is a value of safetensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from multimodal_lab.data.readers.lmdb import tensors
from multimodal_lab.data.readers.lmdb_file import LmdbFile

AT_ONCE, READS = 512, 32  # keys, and values, between two openings: the system maps up to 2 MB of the file about each
NO_NAME = "\0"  # a key that no patch has, as the empty one is not allowed


class LmdbPatches:
    """The patches of `samples` (columns `patch_id` and `s1_name`) in the LMDB `path`, called `name`, an array (H, W) a band."""

    def __init__(self, path: Path, name: str, samples: pd.DataFrame) -> None:
        self.name = name
        self._file, self._read = LmdbFile(path, name), 0
        self.place = self._file.data.name if path.is_file() else f"{name}/{self._file.data.name}"
        self._keys = {"s2": samples["patch_id"], "s1": samples["s1_name"]}  # of the table: no list of them besides

    def absent(self, sensor: str) -> list[int]:
        """The rows without a value; only keys are looked up."""
        names = self._keys[sensor]
        gone: list[int] = []
        for first in range(0, len(names), AT_ONCE):
            keys = [(name or NO_NAME).encode() for name in names.iloc[first : first + AT_ONCE]]
            gone += [first + i for i, there in enumerate(self._file.have(keys)) if not there]
            self._file.close()  # beside each key that is looked up the system maps pages of values, 5 GB in the end
        return gone

    def read(self, row: int, sensor: str, bands: list[str]) -> dict[str, np.ndarray] | None:
        """The bands asked for that there are; None where the patch is not there."""
        key = self._keys[sensor].iloc[row]
        self._read += 1
        if self._read % READS == 0:
            self._file.close()  # what is read stays mapped, and counts as memory of this process
        value = None if key is None else self._file.get(key.encode())
        if value is None:
            return None
        return tensors(value, f"{self.name}: {key}")
