"""Reader of one scene and its label map: patches around labelled pixels, in blocks that share no pixel."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from multimodal_lab.bounds import Count, Fraction, Natural
from multimodal_lab.data import kinds
from multimodal_lab.data.readers import matlab, nodata
from multimodal_lab.data.readers.blocks import Blocks, assign
from multimodal_lab.data.readers.card import numbered, requested_bands
from multimodal_lab.data.readers.envi import ALSO, SUFFIXES
from multimodal_lab.data.readers.envi_header import Header, read_header, told
from multimodal_lab.data.readers.folder import existing, given, readable
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.source import Card, DataError, Raw, full_scale, need_number
from multimodal_lab.data.streams.bands import need_kind
from multimodal_lab.types import Band, Stream


class Scene:
    """Patches of `patch` x `patch` pixels around the labelled pixels of one cube; class 0 is unlabelled and left out.

    cube, map: files below `root`: MATLAB 5 .mat, .npy, ENVI, or HDF5; `cube_key` and `map_key` name the array where a
    file holds several. axes: of the stored cube; an ENVI header says so itself, and `override` what it should say (see
    `Envi`). The scene is divided into near-square blocks of about `block` pixels a side and whole blocks go to train, val
    and test, so that each class is in each split where it can be; a warning names those that are not. A patch never leaves
    its block: at an edge it is mirrored (`reflect`) or left out (`drop`), so that no pixel is shared across splits.
    stride: take every n-th pixel down and across. names: of the classes from 1 on. Missing are pixels of the card's nodata,
    else of what an ENVI or HDF5 cube declares, in stored units. An image stream gets the patch, a vector stream its centre
    pixel. The samples have columns `label`, `block`, `split`, `row`, `column`.
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
        label: str = "label",
        names: list[str] | None = None,
        patch: Count = 9,
        stride: Count = 1,
        block: Count = 16,
        edge: Literal["reflect", "drop"] = "reflect",
        train: Fraction = 0.5,
        val: Fraction = 0.1,
        test: Fraction = 0.4,
        seed: Natural = 0,
        limits: Limits | None = None,
    ) -> None:
        self.root = existing(root)
        self.limits = limits or Limits()
        self.patch, self.axes, self.edge = patch, axes, edge
        file = given(self.root, cube, "data.source.cube")
        self._header = read_header(file, cube, {}, self.limits, override) if _envi(file) else None
        # an ENVI header is half of the cube: with another byte order the same file holds other values
        self.identity: tuple[Any, ...] = (cube, map, axes, patch, stride, block, edge, repr(self._header))
        self._cube_at = (file, cube_key)
        self._values: np.ndarray | None = None
        height, width, count, dtype = self._size(cube)
        bands = card.bands if card else self._header.bands(self._header.named) if self._header else numbered(count)
        if len(bands) != count:
            raise DataError(f"{cube}: {count} bands ({axes}), expected {len(bands)} as in the card")
        bad = set(self._header.bad) if self._header else set()
        self._good = [i for i in range(count) if i not in bad]
        self.bands: tuple[Band, ...] = tuple(bands[i] for i in self._good)
        self.notes = list(told({cube: self._header}, {bands[i].name for i in bad}, card)) if self._header else []
        self._scale = full_scale(dtype)
        self._nodata = self._missing(cube, card or Card(bands), self._header.dtype if self._header else dtype)
        classes = self._classes(given(self.root, map, "data.source.map"), map, map_key, (height, width), cube)
        self.blocks = Blocks(height, width, block)
        if edge == "reflect":
            self.blocks.need(patch)
        split = assign(self.blocks.ids, classes, {"train": train, "val": val, "test": test}, seed)
        self.samples: pd.DataFrame = self._table(cube, classes, split, stride, label, names)
        self.samples.attrs["overlapping"] = "block"
        self.limits.count(cube, len(self.samples))
        self._at = self.samples[["row", "column"]].to_numpy()

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """(C, patch, patch) for an image stream, (C,) for a vector stream, as stored."""
        need_kind(streams, ["image", "vector"], str(self.samples.path.iloc[index]))
        needed, places = requested_bands(self.bands, streams)
        needed = [self._good[i] for i in needed]
        rows, columns = self.window(index)
        row, column = self._at[index]
        cube = self._cube()
        inputs: dict[str, Any] = {}
        missing: dict[str, np.ndarray] = {}
        for stream in streams:
            bands = [needed[i] for i in places[stream.name]]
            if not kinds.of(stream).axes:
                spectrum = cube[:, row, column] if self.axes == "chw" else cube[row, column]
                values = spectrum[bands]
            else:
                where = (bands, rows, columns) if self.axes == "chw" else (rows, columns, bands)
                values = cube[np.ix_(*where)] if self.axes == "chw" else np.moveaxis(cube[np.ix_(*where)], 2, 0)
            inputs[stream.name] = np.ascontiguousarray(values, dtype=cube.dtype.newbyteorder("="))
            gone = nodata.missing(values, [self._nodata[i] for i in bands])
            if gone is not None:
                missing[stream.name] = gone
        return Raw(inputs, None, self._scale, missing)

    def _missing(self, name: str, card: Card, stored: np.dtype) -> list[nodata.Value]:
        """Of each stored band the value, as read, of pixels that were not measured."""
        count = len(card.bands)
        nodata.check(card, range(count), stored)
        declared = None if card.nodata is not None else _declared(*self._cube_at, self._header)
        value, why = (None, "") if declared is None else nodata.parsed(declared, stored)
        self.notes += nodata.notes([(name, why)] if why else [], 1)
        made = nodata.of_bands(card, range(count), value)
        if self._header is None or not self._header.scale:
            return made
        as_read = self._header.values(np.array([v or 0 for v in made], stored)[:, None, None], range(count))[:, 0, 0]
        return [None if v is None else float(x) for v, x in zip(made, as_read)]

    def window(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows and the columns of the scene, (patch,) each, that sample `index` reads; all in its own block."""
        return self.blocks.window(int(self._at[index][0]), int(self._at[index][1]), self.patch)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_values": None}

    def _cube(self) -> np.ndarray:
        if self._values is None:
            file, key = self._cube_at
            self._values = load(file, key, self.limits, self._header)
        return self._values

    def _size(self, name: str) -> tuple[int, int, int, np.dtype]:
        file, key = self._cube_at
        values = load(file, key, self.limits, self._header)
        if values.ndim != 3:
            raise DataError(f"{name}: an array of shape {values.shape}, expected three axes, {self.axes}")
        need_number(values.dtype, name)
        size = dict(zip("chw" if _envi(file) else self.axes, values.shape))
        self.axes = "chw" if _envi(file) else self.axes
        self.limits.check(name, pixels=size["h"] * size["w"], bands=size["c"], itemsize=values.dtype.itemsize)
        self._values = values
        return size["h"], size["w"], size["c"], values.dtype

    def _classes(self, file: Path, name: str, key: str | None, shape: tuple[int, int], cube: str) -> np.ndarray:
        found = load(file, key, self.limits)
        values = np.asarray(found[0] if _envi(file) and len(found) == 1 else found)
        if values.shape != shape:
            raise DataError(f"{name}: a label map of shape {values.shape}, expected {shape} as in {cube}")
        if values.dtype.kind not in "iuf" or (values != np.rint(values)).any() or values.min() < 0:
            raise DataError(f"{name}: expected whole class numbers from 0, found {values.dtype} from {values.min()}")
        if not values.any():
            raise DataError(f"{name}: every pixel is 0, which means unlabelled")
        return values.astype(np.int64)

    def _table(
        self, cube: str, classes: np.ndarray, split: dict[int, str], stride: int, label: str, names: list[str] | None
    ) -> pd.DataFrame:
        if names is not None and len(names) != classes.max():
            raise DataError(
                f"data.source.names: {len(names)} names, expected {classes.max()}, the largest class of the map"
            )
        if label in ("id", "path", "row", "column", "block", "split"):
            raise DataError(f"data.source.label: {label!r} is a column of the reader's own, choose another name")
        rows, columns = np.nonzero(classes)
        keep = (rows % stride == 0) & (columns % stride == 0)
        if self.edge == "drop":
            keep &= self.blocks.inner(rows, columns, self.patch)
        rows, columns = rows[keep], columns[keep]
        if not len(rows):
            raise DataError(
                f"{cube}: no labelled pixel is left at patch {self.patch}, stride {stride}, edge={self.edge}"
            )
        blocks = self.blocks.ids[rows, columns]
        named = [names[k - 1] if names else str(k) for k in classes[rows, columns]]
        table = pd.DataFrame(
            {"id": [f"{r}_{c}" for r, c in zip(rows, columns)], "path": cube, "row": rows, "column": columns}
        )
        table = table.assign(block=blocks, split=[split[b] for b in blocks], **{label: named})
        found = names or sorted({str(k) for k in np.unique(classes) if k}, key=int)
        _report(table, label, found, set(split.values()), cube)
        return table


def load(file: Path, key: str | None, limits: Limits, header: Header | None = None) -> np.ndarray:
    """The array of a MATLAB 5 .mat, .npy, ENVI (C, H, W, scaled by its header) or HDF5 file, checked before it is decoded."""
    suffix = file.suffix.lower()
    if suffix == ".mat":
        return matlab.load(file, key, limits)
    if suffix == ".npy":
        with readable(file.name, ".npy file of plain numbers"):
            return np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))
    if suffix in (".h5", ".hdf5"):
        from multimodal_lab.data.readers.hdf5_file import dataset, open_file

        if key is None:
            raise DataError(f"{file.name}: which data set? name it in data.source.cube_key or map_key")
        with readable(file.name, "HDF5 file"), open_file(file, file.name, 64) as opened:
            data = dataset(opened, key, file.name)
            limits.swell(
                f"{file.name}: {key}",
                int(np.prod(data.shape, dtype=object)) * data.dtype.itemsize,
                data.id.get_storage_size(),
            )
            return np.asarray(data[:])
    if _envi(file):
        header = header or read_header(file, file.name, {}, limits)
        return header.values(header.cube(file), range(header.count))
    known = ", ".join([".mat", ".npy", ".h5", ".hdf5", *SUFFIXES, *ALSO])
    raise DataError(f"{file.name}: expected {known}, found {suffix}")


def _declared(file: Path, key: str | None, header: Header | None) -> object:
    """What the cube's file declares to be missing; None where it can't or doesn't."""
    if header is not None:
        return header.nodata
    if file.suffix.lower() not in (".h5", ".hdf5") or key is None:
        return None
    from multimodal_lab.data.readers.hdf5_file import dataset, fill_value, open_file

    with readable(file.name, "HDF5 file"), open_file(file, file.name, 64) as opened:
        return fill_value(dataset(opened, key, file.name))


def _envi(file: Path) -> bool:
    return file.suffix.lower() in (*SUFFIXES, *ALSO, "")


def _report(table: pd.DataFrame, label: str, names: Sequence[str], splits: set[str], cube: str) -> None:
    """Warn of classes without a sample in some split."""
    absent = []
    for name in names:
        lacking = splits - set(table.split[table[label] == name])
        if lacking:
            absent.append(f"{name} (not in {', '.join(sorted(lacking))})")
    if absent:
        warnings.warn(f"{cube}: too small or too clustered to be in every split: {'; '.join(absent)}", stacklevel=2)
