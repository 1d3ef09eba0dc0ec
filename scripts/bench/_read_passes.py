"""Passes over stored samples that `read.py` compares: the bare reading of the same bytes, the usual ways, and a reader's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from multimodal_lab.types import Stream

COUNT, SIDE = 64, 256  # images of seven bands, and their side
CUBE, CROP, DEPTH = 384, 64, 408  # sides of a cube and of its crops, and its bands
Pass = Callable[[], Any]


def raw_files(paths: list[Path]) -> Pass:
    buffer = memoryview(bytearray(max(p.stat().st_size for p in paths)))

    def go() -> None:
        for path in paths:
            with path.open("rb", buffering=0) as file:
                file.readinto(buffer)

    return go


def raw_records(path: Path, size: int, order: np.ndarray) -> Pass:
    buffer = memoryview(bytearray(size))
    file = path.open("rb", buffering=0)

    def go() -> None:
        for i in order:
            file.seek(int(i) * size)
            file.readinto(buffer)

    return go


def raw_crops(path: Path, source: Any, order: np.ndarray) -> Pass:
    out = np.empty((CROP, CROP * DEPTH), np.uint16)
    rows = [memoryview(row).cast("B") for row in out]
    places = source.samples[["top", "left"]].to_numpy()[order]
    file = path.open("rb", buffering=0)

    def go() -> None:
        for top, left in places.tolist():
            for down, line in enumerate(rows):
                file.seek(((top + down) * CUBE + left) * DEPTH * 2)
                file.readinto(line)

    return go


def mapped(path: Path, order: np.ndarray) -> Pass:
    """The usual way for a flat file: numpy's memory map, a copy of each record."""
    records = np.memmap(path, np.uint16, "r").reshape(COUNT, 7, SIDE, SIDE)

    def go() -> None:
        for i in order:
            records[i].copy()

    return go


def plain_crops(path: Path, source: Any, order: np.ndarray) -> Pass:
    """The usual way for a cube: h5py's own slices, its cache as by default."""
    places = source.samples[["top", "left"]].to_numpy()[order].tolist()
    cube = h5py.File(path, "r")["cube"]

    def go() -> None:
        for top, left in places:
            cube[top : top + CROP, left : left + CROP]

    return go


def each(source: Any, streams: list[Stream], order: np.ndarray) -> Pass:
    def go() -> None:
        for i in order:
            source.read(int(i), streams)

    return go
