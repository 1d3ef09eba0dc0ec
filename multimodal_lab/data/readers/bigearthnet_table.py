"""The table of BigEarthNet: which patches, in which split and country, what covers their ground, and where it lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from multimodal_lab.data.readers.bigearthnet_facts import NINETEEN
from multimodal_lab.data.readers.bigearthnet_names import told
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.tables import read_table, require_column
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import INSTEAD
from multimodal_lab.data.streams.labels import CLASSES
from multimodal_lab.device.trim import trim
from multimodal_lab.text import expected_one_of, some

Flagged = Literal["exclude", "keep"]
LOOKED_AT = 4096  # rows, for whether texts are few
FLAGS = {"snow": "contains_seasonal_snow", "clouds": "contains_cloud_or_shadow"}


def published(files: Sequence[Path], limits: Limits) -> tuple[pd.DataFrame, list[str]]:
    """The rows of the tables as published, one after the other, and what to tell of them."""
    tables, notes = [], []
    for file in files:
        rows, said = read_table(file, "patch_id", limits, lists=["labels"])
        notes += said
        for column in ("patch_id", "s1_name", "labels"):
            require_column(rows, column, file.name, "data.source.metadata")
        tables.append(rows)
        trim()
    return (pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]), notes


def finished(rows: pd.DataFrame, keep: Mapping[str, Flagged], name: str) -> tuple[pd.DataFrame, list[str]]:
    """The sample table of `rows`, called `name`, and what to tell: `id`, the columns as they are, and those that names `told`.

    keep: {`snow`, `clouds`: whether patches with this flag stay}. rows: emptied, as two tables are not held at once.
    `DataError` for a patch without a name or labels, one that is there twice, and a label that is none of the nineteen.
    """
    rows, notes = _without_flagged(rows, keep, name)
    names = rows["patch_id"]
    if names.isna().any() or names.duplicated().any():
        said = "a row has none" if names.isna().any() else f"{names[names.duplicated()].iloc[0]} stands in two rows"
        raise DataError(f"{name}: patch_id: {said}; expected a name of its own for each patch")
    columns = [str(c) for c in rows]
    patch, pair = (_texts(rows.pop(c)) for c in ("patch_id", "s1_name"))
    del names
    trim()
    facts = {"patch_id": patch, "s1_name": pair, "labels": _labels(rows.pop("labels"), patch, name)}
    plain = {c: _shared(rows.pop(c)) for c in columns if c not in ("id", "path", *facts)}
    trim()
    more = {str(c): values for c, values in told(patch.tolist(), pair.tolist()).items() if c not in columns}
    made = pd.DataFrame({"id": patch, **facts, **plain, **more})
    made.attrs = {CLASSES: {"labels": list(NINETEEN)}}
    if "split" not in made:  # as in folders of version 1 without the lists of its splits
        made.attrs[INSTEAD] = {"split": "data.split.column=null data.split.by=tile"}
    return made, notes


def _texts(column: pd.Series) -> pd.Series:
    return column.astype(object).where(column.notna(), None)


def _shared(column: pd.Series) -> pd.Series:
    """A column whose equal texts are one object: half a million countries take no room then. Where most differ it stays."""
    if not isinstance(column.dtype, pd.StringDtype):
        return column
    first = column.iloc[:LOOKED_AT]
    if not column.isna().any() and 2 * first.nunique() > len(first):
        return column
    one: dict[str, str] = {}
    values = [None if v is pd.NA or v is None else one.setdefault(v, v) for v in column.tolist()]
    return pd.Series(values, index=column.index, dtype=object)


def _without_flagged(rows: pd.DataFrame, keep: Mapping[str, Flagged], name: str) -> tuple[pd.DataFrame, list[str]]:
    notes, left = [], np.zeros(len(rows), dtype=bool)
    for key, column in FLAGS.items():
        if column not in rows:
            notes.append(f"{name}: no column {column}; all of its patches are taken to be without")
            continue
        flagged = rows[column].fillna(False).to_numpy(dtype=bool)
        if keep[key] == "exclude" and flagged.any():
            left |= flagged
            notes.append(f"{name}: {flagged.sum():,} patches with {column} are left out (data.source.{key}=keep)")
        elif keep[key] == "keep" and not flagged.any():
            notes.append(f"data.source.{key}=keep: no patch of {name} has {column}")
    if left.all():
        raise DataError(
            f"{name}: {len(rows):,} patches, all with snow or clouds; data.source.snow=keep, clouds=keep keep them"
        )
    return rows[~left].reset_index(drop=True) if left.any() else rows.reset_index(drop=True), notes


def _labels(column: pd.Series, patches: pd.Series, name: str) -> pd.Series:
    """Lists of names, each one of the nineteen; equal ones are one object in all rows."""
    own = {label: label for label in NINETEEN}
    one: dict[tuple[str, ...], list[str]] = {}
    made: list[list[str]] = []
    gone: list[str] = []
    for patch, value in zip(patches, column):
        labels = [] if value is None or value is pd.NA else [str(label) for label in value]
        if unknown := [label for label in labels if label not in own]:
            near = expected_one_of(unknown[0], NINETEEN)
            raise DataError(f"{name}: {patch}: label {unknown[0]!r} is none of BigEarthNet's nineteen; {near}")
        made.append(one.setdefault(tuple(labels), [own[label] for label in labels]))
        gone += [] if labels else [patch]
    if gone:
        raise DataError(f"{name}: {len(gone)} of {len(made)} patches have no labels: {some(gone)}")
    return pd.Series(made, dtype=object)
