"""Open HDF5 files safely: no external links, no oversized decompression."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from multimodal_lab.data.readers.folder import readable
from multimodal_lab.data.readers.limits import ROW, SMALL, Limits
from multimodal_lab.data.source import DataError
from multimodal_lab.text import some

# What HDF5 decodes without loading a plugin from the machine.
FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf"}
SLOTS = 10_007  # of the chunk cache: a prime, many times the chunks it can hold, so that few share one
CHUNK = 2**28  # bytes: a chunk is decoded whole for one value of it


def open_file(file: Path, name: str, cache_mb: int) -> h5py.File:
    """A file open for reading; `DataError` if it isn't whole HDF5."""
    with readable(name, "HDF5 file"):
        return h5py.File(file, "r", rdcc_nbytes=cache_mb * 2**20, rdcc_nslots=SLOTS)


def dataset(file: h5py.File, name: str, path: str) -> h5py.Dataset:
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
    chunk = int(np.prod(data.chunks or (1,), dtype=object)) * data.dtype.itemsize
    if chunk > CHUNK:
        raise DataError(f"{path}: {name} has chunks of {chunk:,} bytes, the limit is {CHUNK:,}")
    return data


def claim(data: h5py.Dataset, where: str, limits: Limits, rows: int = 0) -> None:
    """Refuse a data set that claims far more than the file holds of it, in values or in rows of the sample table."""
    decoded = int(np.prod(data.shape, dtype=object)) * data.dtype.itemsize
    stored = data.id.get_storage_size()
    most = max(SMALL, limits.ratio * stored)
    if max(decoded, rows * ROW) > most:
        said = f"{data.shape} of {data.dtype}, {decoded:,} bytes, from {stored:,} stored ones"
        raise DataError(f"{where}: its header claims {said} (data.source.limits.ratio raises the limit)")


def fill_value(data: h5py.Dataset) -> object:
    """What a data set declares to stand for a missing value, None if nothing.

    That is the attribute `_FillValue` or `missing_value` (netCDF), else a fill value that its maker set, unless that is 0:
    it is set by habit, and black pixels are measured ones.
    """
    for name in ("_FillValue", "missing_value"):
        found = np.ravel(data.attrs[name]) if name in data.attrs else np.empty(0)
        if found.size:
            return found[0].decode(errors="replace") if isinstance(found[0], bytes) else found[0]
    made = data.id.get_create_plist().fill_value_defined() == h5py.h5d.FILL_VALUE_USER_DEFINED
    return data.fillvalue if made and data.fillvalue != 0 else None


def column(file: h5py.File, name: str, path: str, rows: int) -> Any:
    """A label per row: numbers as they are, bytes as text; (rows, 1) and (1, rows) are MATLAB's, one-hot rows are classes."""
    data = dataset(file, name, path)
    one_hot = data.ndim == 2 and len(data) == rows and data.shape[1] > 1
    if data.shape not in ((rows,), (rows, 1), (1, rows)) and not one_hot:
        raise DataError(f"{path}: {name} has shape {data.shape}, expected ({rows},), one value a row")
    claim(data, f"{path}: {name}", Limits())
    values = data.asstr()[:] if h5py.check_string_dtype(data.dtype) else data[:]
    if values.dtype.kind not in "iufbO" or (values.dtype.kind == "O" and not isinstance(values.flat[0], str)):
        raise DataError(f"{path}: {name} holds {data.dtype}, expected numbers or text")
    if not one_hot:
        return values.reshape(-1)
    if values.dtype.kind == "O" or not (((values == 0) | (values == 1)).all() and (values.sum(1) == 1).all()):
        raise DataError(f"{path}: {name} has shape {data.shape}, expected ({rows},), or rows of 0 with a single 1")
    return values.argmax(1)


def classes(values: pd.Series) -> tuple[pd.Series, str]:
    """A column of floats that are few whole numbers as integers, and what to say of it; any other as it is.

    MATLAB stores every number as a double, class numbers too. Few: each stands in four rows on average, and 64 at most.
    """
    if values.dtype.kind != "f":
        return values, ""
    kept = values.dropna()
    found = np.unique(kept)
    if not len(found) or len(found) > min(64, max(2, len(kept) // 4)) or (found != np.rint(found)).any():
        return values, ""
    listed = some([f"{v:g}" for v in found])
    note = (
        f"labels: {values.name} holds {len(found)} whole numbers ({listed}) as floats, taken for classes; "
        f"data.source.numbers=[{values.name}] takes them for numbers"
    )
    return values.astype("Int64" if values.isna().any() else "int64"), note


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
