"""HDF5 files of samples, or one HDF5 cube read in crops straight from its chunks."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import pandas as pd

from multimodal_lab.bounds import Count
from multimodal_lab.data.card import asked, full_scale, need_kind, need_number
from multimodal_lab.data.folder import existing, find, readable
from multimodal_lab.data.labels import Labels, labelled
from multimodal_lab.data.limits import Limits
from multimodal_lab.data.source import Card, DataError, Raw
from multimodal_lab.types import Band, Stream

# What HDF5 decodes without loading a plugin from the machine.
FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf"}
Axes = Literal["nchw", "nhwc", "nc", "chw", "hwc"]


class Hdf5:
    """Samples of all HDF5 files below `root` whose names end in `suffixes` (a whole name picks one file).

    datasets: {path in the file: its bands}, which together are the card's bands. axes: how each is laid out; with "n"
    first a row is a sample, without it the file is one cube, cut into squares of `crop` pixels every `stride` (the crop
    by default; what is left at the far edges is not read). columns: {label: data set of one value per row}; `labels`
    joins by id: the row number in one file, else `file:row` or `file`. Files are opened lazily, once per process, with
    a chunk cache of `cache_mb`. External and outward soft links, external storage, virtual data sets and plug-in
    filters are refused.
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
        crop: Count | None = None,
        stride: Count | None = None,
        labels: Labels | None = None,
        cache_mb: Count = 64,
        limits: Limits | None = None,
    ) -> None:
        self.root = existing(root)
        self.card, self.datasets, self.axes, self.crop = card, datasets, axes, crop
        self.limits, self.cache_mb = limits or Limits(), cache_mb
        self.bands: tuple[Band, ...] = _ordered(card, datasets)
        self.identity = (datasets, axes, crop, stride)
        self._open: dict[tuple[int, str], h5py.File] = {}
        if (crop is None) == (axes in ("chw", "hwc")):
            raise DataError(
                f"data.source.crop: axes={axes} {'needs' if crop is None else 'has no use for'} a crop size"
            )
        paths = find(self.root, suffixes or [".h5", ".hdf5"])
        parts = [self._rows(p, len(paths) == 1, columns or {}, stride or crop or 1) for p in paths]
        samples = pd.concat(parts, ignore_index=True)
        self.limits.count(str(self.root), len(samples))
        self._at = samples[["row", "top", "left"]].to_numpy()
        samples = samples.drop(columns=["row", "top", "left"] if crop is None else ["row"])
        self.samples, self.notes = labelled(self.root, samples, labels)

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """The bands of `streams` of one row or crop; a stream across data sets of two types is float32.

        `full_scale` is that of each stream, 1 where the data sets it is cut from differ in it.
        """
        path = str(self.samples.path.iloc[index])
        need_kind(streams, ["vector"] if self.axes == "nc" else ["image"], path)
        needed, _ = asked(self.bands, streams)
        found: dict[str, np.ndarray] = {}
        scales: dict[str, float] = {}
        start = 0
        for name, names in self.datasets.items():
            local = [i - start for i in needed if start <= i < start + len(names)]
            start += len(names)
            if local:
                values = self._values(path, name, index, local)
                found.update({names[i]: v for i, v in zip(local, values)})
                scales.update({names[i]: full_scale(values.dtype) for i in local})
        each = {s.name: {scales[b.name] for b in s.bands} for s in streams}
        stacked = {s.name: _stacked(s, found, path) for s in streams}
        return Raw(stacked, None, {name: own.pop() if len(own) == 1 else 1.0 for name, own in each.items()})

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}

    def _file(self, path: str) -> h5py.File:
        # A handle must not cross a fork, so each process has its own.
        key = (os.getpid(), path)
        if key not in self._open:
            self._open[key] = open_file(self.root / path, path, self.cache_mb)
        return self._open[key]

    def _values(self, path: str, name: str, index: int, local: list[int]) -> np.ndarray:
        with readable(path, "HDF5 file"):
            return self._cut(dataset(self._file(path), name, path), index, local)

    def _cut(self, data: h5py.Dataset, index: int, local: list[int]) -> np.ndarray:
        row, top, left = (int(v) for v in self._at[index])
        band: Any = slice(local[0], local[-1] + 1)
        pick = [i - local[0] for i in local]
        if local[-1] + 1 - local[0] > 2 * len(local):
            band, pick = local, list(range(len(local)))
        size = self.crop or 0
        window = (slice(top, top + size), slice(left, left + size)) if self.crop else (slice(None),) * (data.ndim - 2)
        place = {"n": (row,), "c": (band,), "h": window[:1], "w": window[1:]}
        values = data[tuple(p for a in self.axes for p in place[a])]
        return np.asarray((np.moveaxis(values, -1, 0) if self.axes.endswith("c") else values)[pick])

    def _rows(self, path: str, only: bool, columns: dict[str, str], stride: int) -> pd.DataFrame:
        with readable(path, "HDF5 file"), open_file(self.root / path, path, 1) as file:
            sizes = {name: self._size(file, name, path) for name in self.datasets}
            first = next(iter(sizes))
            for name, size in sizes.items():
                if ("n" in self.axes and size["n"] != sizes[first]["n"]) or (self.crop and size != sizes[first]):
                    raise DataError(f"{path}: {name} has shape {size}, expected that of {first}, {sizes[first]}")
            if self.crop:
                return self._crops(path, only, sizes[first], stride)
            rows = sizes[first]["n"]
            self.limits.count(path, rows)
            ids = [str(i) if only else f"{path}:{i}" for i in range(rows)]
            made = pd.DataFrame({"id": ids, "path": path, "row": range(rows), "top": 0, "left": 0})
            return made.assign(**{label: column(file, name, path, rows) for label, name in columns.items()})

    def _crops(self, path: str, only: bool, size: dict[str, int], stride: int) -> pd.DataFrame:
        crop = self.crop or 1
        if min(size["h"], size["w"]) < crop:
            raise DataError(f"{path}: {size['h']} x {size['w']} pixels, smaller than data.source.crop {crop}")
        grid = [(t, x) for t in range(0, size["h"] - crop + 1, stride) for x in range(0, size["w"] - crop + 1, stride)]
        self.limits.count(path, len(grid))
        ids = [f"{'' if only else path + ':'}{t}_{x}" for t, x in grid]
        return pd.DataFrame(
            {"id": ids, "path": path, "row": 0, "top": [t for t, _ in grid], "left": [x for _, x in grid]}
        )

    def _size(self, file: h5py.File, name: str, path: str) -> dict[str, int]:
        data = dataset(file, name, path)
        if data.ndim != len(self.axes):
            raise DataError(f"{path}: {name} has shape {data.shape}, expected {len(self.axes)} axes, {self.axes}")
        size = dict(zip(self.axes, data.shape))
        if size.pop("c") != len(self.datasets[name]):
            found, expected = data.shape[self.axes.index("c")], len(self.datasets[name])
            raise DataError(f"{path}: {name} has {found} bands, expected {expected} as in data.source.datasets")
        need_number(data.dtype, f"{path}: {name}")
        pixels = self.crop**2 if self.crop else size.get("h", 1) * size.get("w", 1)
        self.limits.check(
            f"{path}: {name}", pixels=pixels, bands=len(self.datasets[name]), itemsize=data.dtype.itemsize
        )
        return size


def open_file(file: Path, name: str, cache_mb: int) -> h5py.File:
    """A file open for reading; `DataError` if it isn't whole HDF5."""
    with readable(name, "HDF5 file"):
        return h5py.File(file, "r", rdcc_nbytes=cache_mb * 2**20)


def dataset(file: h5py.File, name: str, path: str, limits: Limits | None = None) -> h5py.Dataset:
    """The data set `name`; `DataError` if a link, its storage or a filter leaves `file`."""
    data = file[_resolved(file, name, path)]
    if not isinstance(data, h5py.Dataset):
        raise DataError(f"{path}: {name} is a group, expected a data set")
    if data.external:
        raise DataError(f"{path}: {name} is stored in other files (external storage), which is refused")
    if data.is_virtual:
        raise DataError(f"{path}: {name} is a virtual data set, which may read other files and is refused")
    plan = data.id.get_create_plist()
    for i in range(plan.get_nfilters()):
        code = plan.get_filter(i)[0]
        if code not in FILTERS:
            raise DataError(
                f"{path}: {name} is compressed by filter {code}, expected one of {', '.join(FILTERS.values())}"
            )
    cap = (limits or Limits()).bytes
    chunk = int(np.prod(data.chunks or (1,), dtype=object)) * data.dtype.itemsize
    if chunk > cap:
        raise DataError(f"{path}: {name} has chunks of {chunk:,} bytes, the limit is {cap:,}")
    return data


def column(file: h5py.File, name: str, path: str, rows: int) -> Any:
    """A label per row: numbers as they are, bytes as text."""
    data = dataset(file, name, path)
    if data.shape != (rows,):
        raise DataError(f"{path}: {name} has shape {data.shape}, expected ({rows},), one value a row")
    values = data.asstr()[:] if h5py.check_string_dtype(data.dtype) else data[:]
    if values.dtype.kind not in "iufbO" or (values.dtype.kind == "O" and not isinstance(values[0], str)):
        raise DataError(f"{path}: {name} holds {data.dtype}, expected numbers or text")
    return values


def _resolved(file: h5py.File, name: str, path: str) -> str:
    """Follow `name` link by link and give the path of hard links that it means; refuse what leaves the file."""
    waiting = [p for p in name.split("/") if p]
    done = "/"
    for _ in range(100):
        if not waiting:
            return done
        part = waiting.pop(0)
        group = file[done]
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) and part in group else None
        if link is None:
            names = ", ".join(group) if isinstance(group, h5py.Group) else "nothing"
            raise DataError(f"{path}: no data set {name!r}; {done} holds {names}")
        if isinstance(link, h5py.ExternalLink):
            raise DataError(f"{path}: {name} is an external link to {link.filename}, which is refused")
        if isinstance(link, h5py.SoftLink):
            waiting = [p for p in link.path.split("/") if p and p != "."] + waiting
            done = "/" if link.path.startswith("/") else done
        else:
            done = posixpath.join(done, part)
    raise DataError(f"{path}: {name} is a soft link that never ends")


def _ordered(card: Card, datasets: dict[str, list[str]]) -> tuple[Band, ...]:
    known = {b.name: b for b in card.bands}
    names = [n for group in datasets.values() for n in group]
    if sorted(names) != sorted(known):
        wrong = sorted(set(names) ^ set(known)) or sorted({n for n in names if names.count(n) > 1})
        raise DataError(f"data.source.datasets and data.source.card.bands differ in {', '.join(wrong)}")
    return tuple(known[n] for n in names)


def _stacked(stream: Stream, found: dict[str, np.ndarray], path: str) -> np.ndarray:
    parts = [found[b.name] for b in stream.bands]
    shapes = {p.shape for p in parts}
    if len(shapes) > 1:
        raise DataError(f"{path}: stream {stream.name} takes bands of different sizes: {sorted(shapes)}")
    kinds = {p.dtype for p in parts}
    return np.stack(parts) if len(kinds) == 1 else np.stack([p.astype(np.float32) for p in parts])
