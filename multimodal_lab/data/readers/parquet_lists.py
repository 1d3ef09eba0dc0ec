"""Read a Parquet table whose columns of lists hold few different ones: as an array a row they would take 200 MB."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

ROWS = 16_384  # that are Python objects of their own at once


def read_parquet(path: Path, lists: Collection[str] = ()) -> pd.DataFrame:
    """The table in pandas' nullable types; equal rows of the columns `lists`, where they hold lists of text, are one list."""
    whole: dict[str, Any] = {"dtype_backend": "numpy_nullable"}
    shared = _of_text(path, lists) if lists else []
    if not shared:
        return pd.read_parquet(path, **whole)
    from pyarrow import parquet

    names = parquet.read_schema(path).names
    rows = pd.read_parquet(path, columns=[name for name in names if name not in shared], **whole)
    for column in sorted(shared, key=names.index):
        made = pd.Series(_equal_are_one(path, column), index=rows.index, dtype=object)
        rows.insert(min(names.index(column), rows.shape[1]), column, made)
    return rows


def _of_text(path: Path, lists: Collection[str]) -> list[str]:
    """Those of the columns that hold lists of text."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = parquet.read_schema(path)
    found = [schema.field(schema.names.index(name)) for name in lists if schema.names.count(name) == 1]
    texts = (pa.string(), pa.large_string())
    return [f.name for f in found if pa.types.is_list(f.type) and f.type.value_type in texts]


def _equal_are_one(path: Path, column: str) -> list[list[str] | None]:
    from pyarrow import parquet

    one: dict[tuple[str, ...], list[str]] = {}
    made: list[list[str] | None] = []
    with parquet.ParquetFile(path) as file:
        for part in file.iter_batches(ROWS, columns=[column]):
            values = part.column(0).to_pylist()
            made += [None if own is None else one.setdefault(tuple(own), own) for own in values]
    return made
