"""Read arrays of MATLAB 5 files, with their decompressed size checked first."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from multimodal_lab.data.readers.folder import readable
from multimodal_lab.data.readers.limits import SMALL, Limits
from multimodal_lab.data.source import DataError

HEAD, COMPRESSED, PIECE = 128, 15, 2**20


def load(file: Path, key: str | None, limits: Limits) -> np.ndarray:
    """The array `key`, or the only one; `DataError` for what is no array of numbers, or beyond the limits."""
    from scipy.io import loadmat, whosmat

    with readable(file.name, "MATLAB 5 file"):
        _require(file, limits)
    with readable(file.name, "MATLAB 5 file (of 7.3, save it again with -v7)"):
        held = {name: (shape, kind) for name, shape, kind in whosmat(str(file))}
    if key is None and len(held) == 1:
        key = next(iter(held))
    if key not in held:
        raise DataError(f"{file.name}: no array {key!r}; there are {', '.join(held)} (data.source.cube_key or map_key)")
    shape, kind = held[key]
    if kind in ("cell", "struct", "object", "char", "function", "opaque", "sparse"):
        raise DataError(f"{file.name}: {key} is a {kind}, expected an array of numbers")
    limits.check(
        file.name, pixels=int(np.prod(shape[:2], dtype=object)), bands=int(np.prod(shape[2:], dtype=object)), itemsize=8
    )
    limits.swell(f"{file.name}: {key}", int(np.prod(shape, dtype=object)), file.stat().st_size)
    with readable(file.name, "MATLAB 5 file"):
        return np.asarray(loadmat(str(file), variable_names=[key])[key])


def _require(file: Path, limits: Limits) -> None:
    """Refuse a compressed element that inflates beyond the limits: scipy inflates it whole to say what it holds."""
    with file.open("rb") as stream:
        order = ">" if stream.read(HEAD)[126:128] == b"MI" else "<"
        while len(tag := stream.read(8)) == 8:
            kind, size = struct.unpack(order + "II", tag)
            if kind != COMPRESSED:
                stream.seek(size, 1)
                continue
            most = min(limits.bytes, max(SMALL, limits.ratio * size))
            left, found, inflate = size, 0, zlib.decompressobj()
            while left and not inflate.eof:
                part = stream.read(min(left, PIECE))
                if not part:
                    break
                left -= len(part)
                found += len(inflate.decompress(part, PIECE))
                while inflate.unconsumed_tail and found <= most:
                    found += len(inflate.decompress(inflate.unconsumed_tail, PIECE))
                if found > most:
                    raise DataError(
                        f"{file.name}: an array inflates to more than {most:,} bytes from {size:,} stored ones"
                    )
            stream.seek(left, 1)
