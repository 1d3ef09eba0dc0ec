"""The published table of BigEarthNet v2: which patches, in which split and country, and what covers their ground."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from multimodal_lab.data.readers.bigearthnet_facts import NINETEEN
from multimodal_lab.data.readers.folder import some
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.tables import read_table, require_column
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.labels import CLASSES, COMPLETE
from multimodal_lab.text import expected_one_of

Flagged = Literal["exclude", "keep"]
FLAGS = {"snow": "contains_seasonal_snow", "clouds": "contains_cloud_or_shadow"}
NAMED = (
    r"^S2[A-D]_MSIL2A_(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)T\d+(?:_N\d+)?(?:_R\d+)?(?:_(?P<tile>T\d\d[A-Z]{3}))?_"
)


def read_patches(files: Sequence[Path], keep: dict[str, Flagged], limits: Limits) -> tuple[pd.DataFrame, list[str]]:
    """One row a patch, of the table and, where a flag is kept, of that of flagged patches, and what to tell of them.

    keep: {`snow`, `clouds`: whether patches with this flag stay}. Columns as published, and `id`, the patch, `tile` and `date`,
    as its name has them.
    """
    tables, notes = [], []
    for file in files:
        rows, told = read_table(file, "patch_id", limits)
        notes += told
        for column in ("patch_id", "s1_name", "labels"):
            require_column(rows, column, file.name)
        tables.append(rows)
    rows = pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]
    rows, told = _without_flagged(rows, keep, files[0].name)
    limits.count(files[0].name, len(rows))
    names = rows["patch_id"]
    if names.isna().any() or names.duplicated().any():
        said = "a row has none" if names.isna().any() else f"{names[names.duplicated()].iloc[0]} stands in two rows"
        raise DataError(f"{files[0].name}: patch_id: {said}; expected a name of its own for each patch")
    parts = names.str.extract(NAMED)
    day = parts["year"] + "-" + parts["month"] + "-" + parts["day"]
    patch = names.astype(object)
    facts = {"labels": _labels(rows["labels"], patch, files[0].name), "tile": parts["tile"], "date": day}
    facts = {c: v.astype(object).where(v.notna(), None) for c, v in facts.items() if c not in rows or c == "labels"}
    made = pd.DataFrame({"id": patch, **{str(c): rows[c] for c in rows}, **facts})
    made["s1_name"] = made["s1_name"].astype(object).where(made["s1_name"].notna(), None)
    made.attrs = {CLASSES: {"labels": list(NINETEEN)}, COMPLETE: {"labels": "data.source.missing"}}
    return made, [*notes, *told]


def _without_flagged(rows: pd.DataFrame, keep: dict[str, Flagged], file: str) -> tuple[pd.DataFrame, list[str]]:
    notes, left = [], np.zeros(len(rows), dtype=bool)
    for name, column in FLAGS.items():
        if column not in rows:
            notes.append(f"{file}: no column {column}; all of its patches are taken to be without")
            continue
        flagged = rows[column].fillna(False).to_numpy(dtype=bool)
        if keep[name] == "exclude":
            left |= flagged
            notes += [f"{file}: {flagged.sum():,} patches with {column} are left out (data.source.{name}=keep)"] * any(
                flagged
            )
    return rows[~left].reset_index(drop=True), notes


def _labels(column: pd.Series, patches: pd.Series, file: str) -> pd.Series:
    """Lists of names, each one of the nineteen; the same text is one object in all rows."""
    own = {name: name for name in NINETEEN}
    made: list[list[str] | None] = []
    for patch, value in zip(patches, column):
        if value is None or value is pd.NA:
            made.append(None)
            continue
        names = [own.get(str(name)) or _outside(str(name), patch, file) for name in value]
        made.append(names)
    gone = [patch for patch, names in zip(patches, made) if names is None]
    if gone:
        raise DataError(f"{file}: {len(gone)} of {len(made)} patches have no labels: {some(gone)}")
    return pd.Series(made, dtype=object)


def _outside(name: str, patch: str, file: str) -> str:
    raise DataError(
        f"{file}: {patch}: label {name!r} is none of the nineteen of BigEarthNet; {expected_one_of(name, NINETEEN)}"
    )
