"""Parquet and npz files of a run directory, refused before they are unpacked where they claim more than a run writes."""

from __future__ import annotations

import contextlib
import math
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from multimodal_lab.runs.guarded import open_file

FREE = 1 << 28  # bytes that any file may unpack to
RATIO = 1000  # beyond them, how many times its own size
MOST_TEXT = 1 << 30  # bytes of the texts of a column
MOST_NPZ, MEMBERS = 1 << 29, 1000  # bytes: thumbnails of 6,000 samples in 12 streams


@contextlib.contextmanager
def open_parquet(path: Path, texts: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
    """A Parquet file; `OSError`, `ValueError` or `ArrowException` for none, or one whose rows are far more than its bytes.

    A repeated value takes no room in a file: a few bytes may claim any number of rows. texts: columns that are read as
    dictionaries.
    """
    with open_file(path) as file, pq.ParquetFile(file, read_dictionary=[*texts]) as found:
        facts, size = found.metadata, os.fstat(file.fileno()).st_size
        groups = [facts.row_group(i) for i in range(facts.num_row_groups)]
        values = sum(g.column(i).num_values for g in groups for i in range(g.num_columns))
        claimed = max(facts.num_rows * facts.num_columns * 4, values * 4, sum(g.total_byte_size for g in groups))
        if claimed > max(FREE, RATIO * size):
            what = f"{facts.num_rows:,} rows of {facts.num_columns:,} columns"
            raise ValueError(f"{what} in {size:,} bytes: no run writes such a file")
        yield found


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A table, or some of its columns; see `open_parquet`. `ValueError` for a long text that many rows repeat, too."""
    with open_file(path) as file:
        schema = pq.read_schema(file)
    texts = [f.name for f in schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)]
    with open_parquet(path, texts) as found:
        table: pa.Table = found.read(columns=None if columns is None else [*columns])
    for name in texts:
        if name in table.column_names and pa.types.is_dictionary(table[name].type):
            _require_modest(name, table[name])
            column = table[name].cast(schema.field(name).type)
            table = table.set_column(table.column_names.index(name), name, column)
    return table.replace_schema_metadata(schema.metadata)


def _require_modest(name: str, column: pa.ChunkedArray) -> None:
    total = 0
    for chunk in column.chunks:
        lengths = np.asarray(pc.fill_null(pc.binary_length(chunk.dictionary), 0), dtype=np.int64)
        rows = np.asarray(chunk.indices.drop_null(), dtype=np.int64)
        total += int(lengths[rows].sum()) if len(lengths) else 0
    if total > MOST_TEXT:
        raise ValueError(f"{name} holds {total:,} bytes of text, expected at most {MOST_TEXT:,}")


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """{name: array} of plain numbers; `OSError` or `ValueError` for no such file, or one that claims more than it holds."""
    with open_file(path) as file:
        try:
            with zipfile.ZipFile(file) as packed:
                entries = packed.infolist()
                size = sum(entry.file_size for entry in entries)
                if size > MOST_NPZ or len(entries) > MEMBERS:
                    what = f"{len(entries):,} arrays of {size:,} bytes unpacked"
                    raise ValueError(f"{what}, expected at most {MEMBERS:,} of {MOST_NPZ:,}")
                return {entry.filename.removesuffix(".npy"): _array(packed, entry) for entry in entries}
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            RuntimeError,
        ) as error:  # the last: a password, an unknown packing
            raise ValueError(f"{type(error).__name__}: {error}") from error


def _array(packed: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    with packed.open(entry) as member:
        version = np.lib.format.read_magic(member)  # type: ignore[arg-type]
        read: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(member)
        count, left = math.prod(shape), entry.file_size - member.tell()
        if dtype.kind not in "biuf" or count * dtype.itemsize != left:
            raise ValueError(f"{entry.filename}: {dtype} {shape} does not fit its {left:,} bytes of plain numbers")
        flat = np.frombuffer(member.read(), dtype=dtype)
    return flat.reshape(shape, order="F" if fortran else "C")
