"""Trim and type the columns of a table, whatever it was read from."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from multimodal_lab.text import some

# A number as written: a leading zero makes it a code ("01"), which stays text.
_NUMBER = r"[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
WHOLE = re.compile(r"[+-]?(?:0|[1-9]\d{0,17})", re.ASCII)
NUMBER = re.compile(_NUMBER, re.ASCII)
COMMA = re.compile(_NUMBER.replace(r"\.", ","), re.ASCII)
LONG = re.compile(r"[+-]?\d{19,}", re.ASCII)


def typed(
    rows: pd.DataFrame, key: str | None, separator: str | None, missing: set[str], name: str, notes: list[str]
) -> tuple[pd.DataFrame, list[str]]:
    """A table with its columns trimmed and typed, and `notes` with what there is to tell of that, see `read_table`.

    separator: of values in the file; None where the file has types of its own. name: of the file.
    """
    heads = [str(c).strip() for c in rows.columns]
    if separator is not None:
        empty = rows.isna()
        keep = [i for i, head in enumerate(heads) if head or not empty.iloc[:, i].all()]
        blank = empty.all(axis=1).to_numpy()
        notes = [*notes, *([f"{name}: {blank.sum()} empty rows are left out"] if blank.any() else [])]
        rows, heads = rows.iloc[~blank, keep], [heads[i] for i in keep]
        nameless = [i for i, head in enumerate(heads) if not head]
        for i in nameless:
            heads[i] = f"column_{i + 1}"
        notes += [f"{name}: columns without a name are called {some([heads[i] for i in nameless])}"] if nameless else []
    trimmed: dict[str, int] = {}
    commas: list[str] = []
    made = []
    for i, head in enumerate(heads):
        column = _tidy(rows.iloc[:, i], missing, head, trimmed)
        if separator is not None and head != key:
            column, comma = _numbers(column, separator)
            commas += [head] if comma else []
        made.append(column)
    if trimmed:
        counts = some([f"{column} ({n})" for column, n in trimmed.items()])
        notes.append(f"{name}: spaces around values are left out: {counts}")
    if commas:
        notes.append(f"{name}: a comma is the decimal sign of {some(commas)}")
    done = pd.concat(made, axis=1) if made else pd.DataFrame(index=rows.index)
    done.columns = pd.Index(heads, dtype=object)
    if key is not None and list(heads).count(key) == 1:
        done[key] = done[key].map(as_text, na_action="ignore").astype("string")
    return done, notes


def _tidy(column: pd.Series, missing: set[str], head: str, trimmed: dict[str, int]) -> pd.Series:
    """A column whose texts have no spaces around them, missing where empty or one of `missing`."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if pd.api.types.is_float_dtype(column):
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)  # a NaN of Parquet is not missing to pandas
        return column.mask(np.isnan(numbers))
    values = column.tolist()  # each operation of pandas costs as much as a loop over some thousands of texts
    text = [isinstance(v, str) for v in values]
    if not any(text):
        return column
    bare = [v.strip() if is_text else v for v, is_text in zip(values, text)]
    changed = sum(is_text and v != b for v, b, is_text in zip(values, bare, text))
    if changed:
        trimmed[head] = changed
    kept = [None if is_text and (b == "" or b in missing) else b for b, is_text in zip(bare, text)]
    made = pd.Series(kept, index=column.index, name=column.name, dtype=object)
    whole = bool((np.array(text) | column.isna().to_numpy(dtype=bool)).all())
    return made.astype("string") if whole else made


def _numbers(column: pd.Series, separator: str) -> tuple[pd.Series, bool]:
    """A column of text as numbers if every value is one, and whether their decimal sign is a comma."""
    known = column.dropna().tolist() if isinstance(column.dtype, pd.StringDtype) else []
    if not known:
        return column.astype("string"), False
    if _all(WHOLE, known):
        return pd.to_numeric(column).astype("Int64"), False
    if any(LONG.fullmatch(v) for v in known):  # more digits than a number keeps
        return column, False
    if _all(NUMBER, known):
        return pd.to_numeric(column).astype("Float64"), False
    if separator != "," and _all(COMMA, known):
        return pd.to_numeric(column.str.replace(",", ".", regex=False)).astype("Float64"), True
    return column, False


def _all(pattern: re.Pattern[str], values: list[str]) -> bool:
    return all(map(pattern.fullmatch, values))


def as_text(value: Any) -> str:
    """A key as text: 7 of a whole column that became 7.0 where others are missing is "7"."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
