"""The on-disk format of a packed store: shards, sample index, manifest.

manifest.json      what the store holds, the choices it was packed with, and the hash of every other file but shards
table.json         the sample table, column by column
shard-00000.bin    records of consecutive samples: their parts one after another, each from a multiple of 64 bytes
shard-00000.npy    one row a sample: where its record lies, the record's hash, the size and bands of each part
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multimodal_lab import files
from multimodal_lab.data.readers.folder import readable
from multimodal_lab.data.source import DataError
from multimodal_lab.types import Band

FORMAT, VERSION = "multimodal_lab packed store", 1
MANIFEST, TABLE, PLAN = "manifest.json", "table.json", "plan.json"
ALIGN = 64
HASHES = ("xxh3_128", "blake2b_128")


@dataclass(frozen=True)
class Part:
    """Bands of one kind, field, type and full scale, stored as one block (bands, …) of a record.

    kind: one that is `stored` in bands, or `mask`, or `missing`: (bands, H, W) bool of the part whose number is its field,
    True where a pixel was not measured. bands: places among the store's bands, ascending; none for the mask, which is (H, W)
    bool. steps: the block is (bands, T, …), and each record says its T and its rate.
    """

    kind: str
    field: str
    bands: tuple[int, ...]
    dtype: str
    full_scale: float
    steps: bool = False

    @property
    def planes(self) -> int:
        """How many planes a whole block has."""
        return len(self.bands) or 1


def best_hash() -> str:
    """XXH3 where its library is installed (some 20 GB/s), else BLAKE2b (some 1 GB/s)."""
    try:
        import xxhash  # noqa: F401
    except ImportError:
        return "blake2b_128"
    return "xxh3_128"


def hasher(name: str) -> Callable[[Any], bytes]:
    """The function from bytes to a 16-byte digest that a manifest names; `DataError` if it isn't to be had here."""
    if name == "blake2b_128":
        return lambda data: hashlib.blake2b(data, digest_size=16).digest()
    if name != "xxh3_128":
        raise DataError(f"{MANIFEST}: hash {name!r}, expected one of {', '.join(HASHES)}")
    try:
        import xxhash
    except ImportError as error:
        raise DataError(f"{MANIFEST}: samples are hashed by xxh3_128, which needs `pip install xxhash`") from error
    digest: Callable[[Any], bytes] = xxhash.xxh3_128_digest
    return digest


def index_dtype(parts: Sequence[Part]) -> np.dtype:
    """One row of a shard's index: `offset` and `bytes` of the record, `hash`, and for part i `p<i>`: size and bands.

    A part with steps has their number and their `rate` in Hz, 0 where the file tells none.
    """
    fields: list[Any] = [("offset", "<u8"), ("bytes", "<u8"), ("hash", "V16")]
    for i, part in enumerate(parts):
        there = ("present", "u1", (-(-part.planes // 8),))
        time = [("steps", "<u4"), ("rate", "<f8")] if part.steps else []
        fields.append((f"p{i}", [("height", "<u4"), ("width", "<u4"), *time, there]))
    return np.dtype(fields)


def shard_name(number: int, suffix: str) -> str:
    """`shard-00003.bin`."""
    return f"shard-{number:05d}{suffix}"


def aligned(offset: int) -> int:
    """The next multiple of 64."""
    return -(-offset // ALIGN) * ALIGN


def read_json(path: Path) -> dict[str, Any]:
    """The object of a JSON file; `DataError` if it is not there or is none."""
    try:
        found = json.loads(files.retried(path.read_bytes))
    except FileNotFoundError as error:
        raise DataError(
            f"data.root: {path.parent} holds no {path.name}, expected a folder that pack.py made"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: damaged, not JSON: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"{path}: a JSON {type(found).__name__}, expected an object")
    return found


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a store; `DataError` for another format or version, or a manifest that was changed by hand."""
    path = folder / MANIFEST
    if not path.is_file() and (folder / PLAN).is_file():
        raise DataError(f"data.root: {folder} is packed in part only; the same pack.py command continues it")
    found = read_json(path)
    if found.get("format") != FORMAT:
        raise DataError(f"{path}: format {found.get('format')!r}, expected {FORMAT!r}")
    if found.get("version") != VERSION:
        raise DataError(f"{path}: version {found.get('version')!r}, this program reads {VERSION}; pack the data again")
    if found.get("seal") != seal(found):
        raise DataError(f"{path}: damaged or edited, its seal {found.get('seal')!r} is not that of its content")
    return found


def seal(manifest: dict[str, Any]) -> str:
    """The BLAKE2b of a manifest without its `seal`."""
    rest = {k: v for k, v in manifest.items() if k != "seal"}
    return hashlib.blake2b(json.dumps(rest, sort_keys=True).encode(), digest_size=16).hexdigest()


def file_hash(path: Path) -> str:
    """The BLAKE2b of a small file."""
    return hashlib.blake2b(files.retried(path.read_bytes), digest_size=16).hexdigest()


def bands_of(manifest: dict[str, Any]) -> tuple[Band, ...]:
    """The store's bands."""
    return tuple(Band(name, nm, unit) for name, nm, unit in manifest["bands"])


def parts_of(manifest: dict[str, Any]) -> list[Part]:
    """The blocks of a record, in stored order."""
    return [Part(**{**p, "bands": tuple(p["bands"])}) for p in manifest["parts"]]


def plain_part(part: Part) -> dict[str, Any]:
    """A part in JSON types."""
    facts = {**asdict(part), "bands": list(part.bands)}
    return (
        facts if part.steps else {k: v for k, v in facts.items() if k != "steps"}
    )  # as stores without steps always had it


def write_table(path: Path, samples: pd.DataFrame) -> None:
    """A sample table as JSON that `read_table` gives back equal: values, types and missing values."""
    columns = [
        {"name": str(name), "dtype": _kind(samples[name]), "values": [_plain(v) for v in samples[name]]}
        for name in samples.columns
    ]
    files.write_json(path, {"columns": columns}, indent=None)


def read_table(path: Path) -> pd.DataFrame:
    """What `write_table` wrote."""
    columns = read_json(path)["columns"]
    return pd.DataFrame({c["name"]: pd.Series(c["values"], dtype=c["dtype"]) for c in columns})


def whole_table(folder: Path, manifest: dict[str, Any]) -> pd.DataFrame:
    """The sample table of a store; `DataError` where it is not the one that its manifest names."""
    path = folder / TABLE
    if not path.is_file() or file_hash(path) != manifest["table"]:
        raise DataError(f"{path}: {'not the table that the manifest names' if path.is_file() else 'not there'}")
    with readable(str(path), "table"):
        return read_table(path)


def whole_indexes(folder: Path, parts: Sequence[Part], shards: Sequence[dict[str, Any]]) -> np.ndarray:
    """All rows of all shards' indexes, after the sizes and hashes of these files were compared."""
    made = [np.empty(0, index_dtype(parts))]
    for number, facts in enumerate(shards):
        path, data = (folder / shard_name(number, s) for s in (".npy", ".bin"))
        size = data.stat().st_size if data.is_file() else 0
        if size != facts["bytes"]:
            raise DataError(f"{data}: {size:,} bytes, expected {facts['bytes']:,}: cut short or not of this store")
        if not path.is_file() or file_hash(path) != facts["index"]:
            raise DataError(f"{path}: {'not the index that the manifest names' if path.is_file() else 'not there'}")
        with readable(str(path), "index"):
            rows = np.load(path, allow_pickle=False)
        if rows.dtype != made[0].dtype or (rows["bytes"] > size).any():
            raise DataError(f"{path}: its rows are not those of {data.name}")
        made.append(rows)
    return np.concatenate(made)


def _kind(column: pd.Series) -> str:
    kept = column.dtype.kind in "iufb" or str(column.dtype) in ("str", "string")
    return str(column.dtype) if kept else "object"


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | list | tuple | set):
        return [_plain(v) for v in (sorted(value, key=str) if isinstance(value, set) else value)]
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, str | int | float | bool) else str(value)


def as_text(value: Any) -> Any:
    """A cell of the sample table as the text of a stream: str or list of str; None where missing."""
    if isinstance(value, str | list):
        return value
    return None if value is None or pd.isna(value) else str(value)


def pread(file: int, buffer: np.ndarray, offset: int) -> int:
    """Fill `buffer` from `offset` on; returns how many bytes there were."""
    done = os.preadv(file, [buffer.data], offset)
    while 0 < done < len(buffer):  # it may give fewer bytes than asked for, without an error
        if (got := os.preadv(file, [buffer.data[done:]], offset + done)) == 0:
            break
        done += got
    return done
