"""Write and read embedding tables: one Parquet file and one CSV per name.

Parquet: `id, split, group, present, item, label.<label>…, x1..xD`; a label is its class name (missing: null), a number, or
a list of 0/1; `item`, of a stream whose rows may hold the same thing (one image, one text), is equal where they
do; x is null where the modality is missing. Class lists and the order of names ride in the schema's
metadata, so that a file can be read without the run that wrote it. CSV: `filename,x1..xD`, empty where the modality
is missing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from multimodal_lab import files
from multimodal_lab.runs.guarded_arrays import open_parquet, read_parquet

_KEY = b"multimodal_lab"
_LABEL = "label."
_DTYPE = re.compile(r"u?int(8|16|32|64)|float(16|32|64)|bool")


class _Truth(Protocol):
    vectors: dict[str, np.ndarray]
    targets: dict[str, np.ndarray]
    classes: dict[str, list[str]]
    ids: list[str]
    groups: np.ndarray
    split: np.ndarray


@dataclass
class EmbeddingRows:
    """One file's content: x (N, D) float32, present (N,), the truth of `Embeddings`, and all names in their order.

    item (N,) int64: equal where rows hold the same thing; None where nobody said.
    """

    x: np.ndarray
    present: np.ndarray
    targets: dict[str, np.ndarray]
    classes: dict[str, list[str]]
    ids: list[str]
    groups: np.ndarray
    split: np.ndarray
    names: list[str]
    item: np.ndarray | None = None

    def cut(self, index: np.ndarray | slice) -> EmbeddingRows:
        """Some of the rows."""
        targets = {k: v[index] for k, v in self.targets.items()}
        ids = np.asarray(self.ids, dtype=object)[index].tolist()
        more = (self.classes, ids, self.groups[index], self.split[index], self.names)
        item = None if self.item is None else self.item[index]
        return EmbeddingRows(self.x[index], self.present[index], targets, *more, item)


def rows(e: _Truth, x: np.ndarray, present: np.ndarray, item: np.ndarray | None = None) -> EmbeddingRows:
    """The table of one name's x (N, D)."""
    return EmbeddingRows(x, present, e.targets, e.classes, e.ids, e.groups, e.split, list(e.vectors), item)


def table(rows: EmbeddingRows) -> pa.Table:
    """The Parquet table of some rows."""
    fixed = {
        "id": pa.array(rows.ids, pa.string()),
        "split": pa.array(rows.split.tolist(), pa.string()),
        "group": pa.array(rows.groups),
        "present": pa.array(rows.present),
        **({} if rows.item is None else {"item": pa.array(rows.item)}),
    }
    labels = {_LABEL + k: _stored(v, rows.classes.get(k, [])) for k, v in rows.targets.items()}
    facts = {"classes": rows.classes, "names": rows.names, "dtypes": {k: str(v.dtype) for k, v in rows.targets.items()}}
    return pa.table({**fixed, **labels, **_columns(rows)}).replace_schema_metadata(
        {_KEY: files.as_json(facts).encode()}
    )


def plain(rows: EmbeddingRows) -> pa.Table:
    """The table of a CSV file."""
    return pa.table({"filename": pa.array(rows.ids, pa.string()), **_columns(rows)})


def _columns(rows: EmbeddingRows) -> dict[str, pa.Array]:
    missing = None if rows.present.all() else ~rows.present
    columns = np.ascontiguousarray(rows.x.T, dtype=np.float32)  # a strided column is copied number by number
    return {f"x{i + 1}": pa.array(column, mask=missing) for i, column in enumerate(columns)}


def splits(path: Path) -> np.ndarray:
    """(N,) str: the split of each row of a file."""
    return np.asarray(read_parquet(path, ["split"])["split"].to_pylist(), dtype=str)


def read(path: Path, index: np.ndarray | None = None) -> EmbeddingRows:
    """Read one Parquet file of a run, or the rows `index`, ascending, of it; x is zero where the modality is missing."""
    whole = read_parquet(path) if index is None else _taken(path, index)
    metadata = whole.schema.metadata or {}
    if _KEY not in metadata:
        raise ValueError(f"{path} was not written by this project: its schema carries no {_KEY.decode()!r} metadata")
    facts = _facts(metadata[_KEY])
    present = np.asarray(whole["present"].to_pylist(), dtype=bool)
    width = sum(n.startswith("x") and n[1:].isdigit() for n in whole.column_names)
    x = np.zeros((len(whole), width), dtype=np.float32)
    for i in range(width):
        x[present, i] = np.asarray(whole[f"x{i + 1}"])[present]
    targets = {
        k: _restored(whole[_LABEL + k].to_pylist(), facts["classes"].get(k, []), dtype)
        for k, dtype in facts["dtypes"].items()
    }
    split = np.asarray(whole["split"].to_pylist(), dtype=str)
    ids = whole["id"].to_pylist()
    item = np.asarray(whole["item"], dtype=np.int64) if "item" in whole.column_names else None
    groups = np.asarray(whole["group"])
    return EmbeddingRows(x, present, targets, facts["classes"], ids, groups, split, facts["names"], item)


def _taken(path: Path, index: np.ndarray) -> pa.Table:
    """Some rows, one row group in memory at a time."""
    with open_parquet(path) as file:
        ends = np.cumsum([0, *(file.metadata.row_group(g).num_rows for g in range(file.num_row_groups))])
        parts = [file.schema_arrow.empty_table()]
        for group, (first, last) in enumerate(pairwise(ends)):
            low, high = np.searchsorted(index, (first, last))
            if low < high:
                parts.append(file.read_row_group(group).take(pa.array(index[low:high] - first)))
    return pa.concat_tables(parts).replace_schema_metadata(parts[0].schema.metadata)


def _facts(text: bytes) -> dict[str, Any]:
    """The classes, names and types of labels that `table` put into the schema; `ValueError` for anything else."""
    found: dict[str, Any] = files.parse_json(text)
    if not all(isinstance(name, str) for name in found["names"]):
        raise ValueError("names: expected a list of names")
    if wrong := [d for d in found["dtypes"].values() if not _DTYPE.fullmatch(d)]:
        raise ValueError(f"a label of type {wrong[0]!r}: expected numbers")
    return found


def _stored(target: np.ndarray, classes: Sequence[str]) -> Any:
    if target.ndim > 1:
        return pa.array(target.reshape(len(target), -1).tolist())
    if target.dtype.kind in "iu" and classes:
        if len(set(classes)) < len(classes) or target.max(initial=-1) >= len(classes):
            raise ValueError(
                f"{len(classes)} class names for indices up to {target.max()}: expected a distinct one each"
            )
        return pa.array([classes[i] if i >= 0 else None for i in target.tolist()], pa.string())
    return pa.array(target)


def _restored(values: list[Any], classes: Sequence[str], dtype: str) -> np.ndarray:
    if classes and any(isinstance(v, str) for v in values):
        index = {c: i for i, c in enumerate(classes)}
        values = [-1 if v is None else index[v] for v in values]
    elif classes and all(v is None for v in values):
        values = [-1] * len(values)
    return np.asarray(values, dtype=dtype)
