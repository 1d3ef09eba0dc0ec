"""Reader of HDF5: files of samples, or one cube read in crops from its chunks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import h5py
import numpy as np
import pandas as pd

from multimodal_lab.bounds import Count
from multimodal_lab.data.readers import nodata
from multimodal_lab.data.readers.card import requested_bands, select_planes
from multimodal_lab.data.readers.crops import BLOCKS, Cuts, blocks, crossing, grid
from multimodal_lab.data.readers.folder import existing, find, readable
from multimodal_lab.data.readers.hdf5_file import claim, classes, column, dataset, fill_value, open_file
from multimodal_lab.data.readers.hdf5_rows import columns, ordered, read_rows, stacked
from multimodal_lab.data.readers.labels import Labels, labelled
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.source import Card, DataError, Raw, Rows, full_scale, need_number
from multimodal_lab.data.streams.bands import indices, need_kind
from multimodal_lab.types import Band, Stream

KEPT = 64  # sets of streams whose plans are kept
_Home = tuple[list[str], list[tuple[str, int]], list[int]]
Axes = Literal["nchw", "nhwc", "nc", "chw", "hwc"]


class Hdf5:
    """Samples of all HDF5 files below `root` whose names end in `suffixes` (a whole name picks one file).

    datasets: {path in the file: its bands}, which together are the card's bands. axes: how each is laid out; with "n"
    first a row is a sample, without it the file is one cube, cut into squares of `crop` pixels every `stride` (the crop
    by default; what is left at the far edges is not read). Crops have a column `block`: crops of two blocks, of about
    `block` pixels a side, share no pixel, and a crop that crosses two is in none. columns: {label: data set of one value
    per row}; those of few whole numbers are classes, as doubles too, but for the `numbers`. `labels` joins by id: the row
    number in one file, else `file:row` or `file`. Missing are pixels of the card's nodata, else of the value that a data
    set declares, see `fill_value`. Files are opened lazily, once per process, with a chunk cache of `cache_mb`. External
    and outward soft links, external storage, virtual data sets and plug-in filters are refused.
    """

    def __init__(
        self,
        root: str,
        *,
        datasets: dict[str, list[str]],
        card: Card,
        axes: Axes = "nchw",
        suffixes: list[str] | None = None,
        columns: dict[str, str] | None = None,
        numbers: list[str] | None = None,
        crop: Count | None = None,
        stride: Count | None = None,
        block: Count | None = None,
        labels: Labels | None = None,
        cache_mb: Count = 64,
        limits: Limits | None = None,
    ) -> None:
        self.root = existing(root)
        self.card, self.datasets, self.axes, self.crop = card, datasets, axes, crop
        self.limits, self.cache_mb = limits or Limits(), cache_mb
        self.bands: tuple[Band, ...] = ordered(card, datasets)
        self.identity = (datasets, axes, crop, stride)
        self._open: dict[tuple[int, str], h5py.File] = {}
        self._plans: dict[tuple[int, ...], tuple[list[Stream], dict[str, list[int]], list[_Home]]] = {}
        self._data: dict[tuple[int, str, str], h5py.Dataset] = {}  # checked
        if (crop is None) == (axes in ("chw", "hwc")):
            what = "needs" if crop is None else "has no use for"
            raise DataError(f"data.source.crop: axes={axes} {what} a crop size")
        self._stored = {b.name: i for i, b in enumerate(card.bands)}
        self._starts = dict(zip(datasets, np.cumsum([0, *map(len, datasets.values())]).tolist()))
        self._fills: dict[tuple[str, str], nodata.Value] = {}  # what each data set declares
        self._ignored: list[tuple[str, str]] = []
        paths = find(self.root, suffixes or [".h5", ".hdf5"])
        step = stride or crop or 1
        cuts = partial(blocks, size=(crop or 1, crop or 1), wanted=-(-BLOCKS // len(paths)), side=block)
        parts = [self._rows(p, len(paths) == 1, columns or {}, step, cuts) for p in paths]
        samples = pd.concat(parts, ignore_index=True)
        told = nodata.notes(self._ignored, len(paths) * len(datasets))
        for label in columns or {}:
            samples[label], note = classes(samples[label]) if label not in (numbers or ()) else (samples[label], "")
            told += [note] if note else []
        self.limits.count(str(self.root), len(samples))
        self._at = samples[["row", "top", "left"]].to_numpy()
        samples = samples.drop(columns=["row", "top", "left"] if crop is None else ["row"])
        self.samples, notes = labelled(self.root, samples, labels)
        self.notes = [*notes, *told]
        if crop and step < crop:
            self.samples.attrs["overlapping"] = "block"
            said = crossing(self.samples.block, f"crops of {crop} pixels every {step}")
            self.notes.append(f"{said}; data.source.block sets their size")
        self._paths = [str(p) for p in self.samples.path]

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """The bands of `streams` of one row or crop; a stream across data sets of two types is float32.

        `full_scale` is that of each stream, 1 where the data sets it is cut from differ in it.
        """
        path = self._paths[index]
        need_kind(streams, ["vector"] if self.axes == "nc" else ["image"], path)
        wanted, homes = self._plan(streams)
        values = {name: self._values(path, name, index, local) for name, local in wanted.items()}
        absent = {name: self._missing(path, name, local, values[name]) for name, local in wanted.items()}
        made: dict[str, Any] = {}
        gone: dict[str, np.ndarray] = {}
        scales: dict[str, float] = {}
        for stream, (names, parts, places) in zip(streams, homes):
            one = values[names[0]]
            made[stream.name] = select_planes(one, places) if len(names) == 1 else stacked(stream, parts, values, path)
            if any(absent[name] is not None for name in names):
                planes = [(absent[name], values[name], place) for name, place in parts]
                gone[stream.name] = np.stack([np.zeros(x.shape[1:], bool) if m is None else m[p] for m, x, p in planes])
            own = {full_scale(values[name].dtype) for name in names}
            scales[stream.name] = own.pop() if len(own) == 1 else 1.0
        return Raw(made, None, scales, gone)

    def read_rows(self, index: np.ndarray, streams: Sequence[Stream]) -> Rows | None:
        """The same of many rows of vectors at once; None where they must be read one by one: see `Rows`."""
        paths = {self._paths[i] for i in index}
        if self.axes != "nc" or len(paths) > 1 or self._fills or self.card.nodata not in (None, "ignore"):
            return None
        need_kind(streams, ["vector"], path := paths.pop())
        wanted, homes = self._plan(streams)
        if any(len(names) > 1 for names, _, _ in homes):
            return None
        with readable(path, "HDF5 file"):
            values = {k: read_rows(self._dataset(path, k), self._at[index, 0], own) for k, own in wanted.items()}
        own = {s.name: columns(values[names[0]], places) for s, (names, _, places) in zip(streams, homes)}
        return Rows(own, {name: full_scale(x.dtype) for name, x in own.items()})

    def _missing(self, path: str, name: str, local: list[int], values: np.ndarray) -> np.ndarray | None:
        """(C, …) bool of the bands `local` of a data set."""
        declared = None if self.card.nodata is not None else self._fills.get((path, name))
        if declared is None and self.card.nodata in (None, "ignore"):
            return None
        start = self._starts[name]
        stored = [self._stored[self.bands[start + i].name] for i in local]
        return nodata.missing(values, nodata.of_bands(self.card, stored, declared))

    def _plan(self, streams: Sequence[Stream]) -> tuple[dict[str, list[int]], list[_Home]]:
        """Which bands of each data set to read, and for each stream the data sets and places its bands come from.

        Kept by identity: it is the same for every sample, and takes as long as reading one of 408 bands.
        """
        key = tuple(map(id, streams))
        if key not in self._plans:
            needed, _ = requested_bands(self.bands, streams)
            wanted: dict[str, list[int]] = {}
            home: dict[int, tuple[str, int]] = {}
            start = 0
            for name, names in self.datasets.items():
                local = [i - start for i in needed if start <= i < start + len(names)]
                home.update({start + i: (name, place) for place, i in enumerate(local)})
                if local:
                    wanted[name] = local
                start += len(names)
            parts = [[home[i] for i in indices(s, self.bands)] for s in streams]
            homes = [([*dict.fromkeys(name for name, _ in each)], each, [p for _, p in each]) for each in parts]
            if len(self._plans) > KEPT:
                self._plans.clear()
            self._plans[key] = (list(streams), wanted, homes)
        return self._plans[key][1:]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}, "_data": {}, "_plans": {}}

    def _file(self, path: str) -> h5py.File:
        # A handle must not cross a fork, so each process has its own.
        key = (os.getpid(), path)
        if key not in self._open:
            self._open[key] = open_file(self.root / path, path, self.cache_mb)
        return self._open[key]

    def _values(self, path: str, name: str, index: int, local: list[int]) -> np.ndarray:
        with readable(path, "HDF5 file"):
            return self._cut(self._dataset(path, name), index, local)

    def _dataset(self, path: str, name: str) -> h5py.Dataset:
        key = (os.getpid(), path, name)
        if key not in self._data:
            self._data[key] = dataset(self._file(path), name, path)
        return self._data[key]

    def _cut(self, data: h5py.Dataset, index: int, local: list[int]) -> np.ndarray:
        row, top, left = (int(v) for v in self._at[index])
        band: Any = slice(local[0], local[-1] + 1)
        pick = None if local[-1] - local[0] == len(local) - 1 else [i - local[0] for i in local]
        if local[-1] + 1 - local[0] > 2 * len(local):
            band, pick = local, None
        size = self.crop or 0
        window = (slice(top, top + size), slice(left, left + size)) if self.crop else (slice(None),) * (data.ndim - 2)
        place = {"n": (row,), "c": (band,), "h": window[:1], "w": window[1:]}
        values: np.ndarray = data[tuple(p for a in self.axes for p in place[a])]
        # A view of interleaved values: the copy into a batch is quicker at turning them round.
        values = np.moveaxis(values, -1, 0) if self.axes.endswith("c") and values.ndim > 1 else values
        return values if pick is None else values[pick]

    def _rows(self, path: str, only: bool, columns: dict[str, str], stride: int, cuts: Cuts) -> pd.DataFrame:
        with readable(path, "HDF5 file"), open_file(self.root / path, path, 1) as file:
            sizes = {name: self._size(file, name, path) for name in self.datasets}
            first = next(iter(sizes))
            for name, size in sizes.items():
                if ("n" in self.axes and size["n"] != sizes[first]["n"]) or (self.crop and size != sizes[first]):
                    raise DataError(f"{path}: {name} has shape {size}, expected that of {first}, {sizes[first]}")
            if self.crop:
                return self._crops(path, only, sizes[first], stride, self.crop, cuts)
            rows = sizes[first]["n"]
            self.limits.count(path, rows)
            ids = [str(i) if only else f"{path}:{i}" for i in range(rows)]
            made = pd.DataFrame({"id": ids, "path": path, "row": range(rows), "top": 0, "left": 0})
            return made.assign(**{label: column(file, name, path, rows) for label, name in columns.items()})

    def _crops(self, path: str, only: bool, size: dict[str, int], stride: int, crop: int, cuts: Cuts) -> pd.DataFrame:
        if min(size["h"], size["w"]) < crop:
            raise DataError(f"{path}: {size['h']} x {size['w']} pixels, smaller than data.source.crop {crop}")
        tops, lefts = (np.arange(0, size[axis] - crop + 1, stride) for axis in "hw")
        self.limits.count(path, len(tops) * len(lefts))
        return grid(tops, lefts, cuts, "" if only else f"{path}:").assign(path=path, row=0)

    def _size(self, file: h5py.File, name: str, path: str) -> dict[str, int]:
        data = dataset(file, name, path)
        if data.ndim != len(self.axes):
            raise DataError(f"{path}: {name} has shape {data.shape}, expected {len(self.axes)} axes, {self.axes}")
        size = dict(zip(self.axes, data.shape))
        if size.pop("c") != len(self.datasets[name]):
            found, expected = data.shape[self.axes.index("c")], len(self.datasets[name])
            raise DataError(f"{path}: {name} has {found} bands, expected {expected} as in data.source.datasets")
        where, bands = f"{path}: {name}", len(self.datasets[name])
        need_number(data.dtype, where)
        self._declare(path, name, data)
        claim(data, where, self.limits, size.get("n", 1))
        pixels = self.crop**2 if self.crop else size.get("h", 1) * size.get("w", 1)
        self.limits.check(where, pixels=pixels, bands=bands, itemsize=data.dtype.itemsize)
        return size

    def _declare(self, path: str, name: str, data: h5py.Dataset) -> None:
        """Keep what a data set declares to be missing, if the card has nothing to say of it."""
        nodata.check(self.card, [self._stored[band] for band in self.datasets[name]], data.dtype)
        declared = fill_value(data)
        if declared is None or self.card.nodata is not None:
            return
        value, why = nodata.parsed(declared, data.dtype)
        if why:
            self._ignored.append((f"{path}: {name}", why))
        else:
            self._fills[path, name] = value
