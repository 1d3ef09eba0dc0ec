"""The one reader of tables: CSV, TSV, Excel, Parquet and JSONL give equal columns, and what was inferred is told."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from multimodal_lab.data.readers.delimited import decode, encoding_note, read_delimited
from multimodal_lab.data.readers.folder import readable
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.parquet_lists import read_parquet
from multimodal_lab.data.readers.typed_columns import as_text, typed
from multimodal_lab.data.source import DataError
from multimodal_lab.text import MANY, half_character, nearest, some

DELIMITED, EXCEL, LINES = (".csv", ".tsv", ".txt"), (".xlsx", ".xlsm", ".xls"), (".jsonl", ".ndjson")
# Words that other programs write for a missing value, and that are classes of some data set too (Namibia, a control).
DOUBTFUL = {"na", "n/a", "#n/a", "nan", "none", "null", "nil", "unknown", "missing", "?", "-"}
# The cells of a study read one file after the other in one process, and typing 400 columns takes as long as training on them.
KEPT, REMEMBERED, LONG = 4, 64 * 2**20, 100_000  # tables, bytes of a file, and rows
_known: dict[tuple[object, ...], tuple[pd.DataFrame, list[str]]] = {}
CLASSES = 50  # more different values are no classes: they are not searched for spellings of one


def read_table(
    path: Path,
    key: str | None = None,
    limits: Limits | None = None,
    na_values: Sequence[str] = (),
    lists: Collection[str] = (),
    separator: str | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """The rows of a table, and in sentences what was inferred of it; a broken or other file is a `DataError`.

    Only an empty field is missing, and what equals one of `na_values`: "NA" and "None" are text. Spaces around values
    are left out. Of a file that has no types, a column whose values are all numbers holds numbers, unless one has a
    leading zero, as codes do, or it is the column `key`, which is always text. Column names are as written, so that two
    may be equal. lists: columns of Parquet that hold few different lists, of which equal ones are one object. separator: of the
    values of delimited text; None finds it.
    """
    limits = limits or Limits()
    limits.file(str(path), path)
    with readable(str(path), "table"):
        at = path.stat()
    mark = (
        str(path.absolute()),
        at.st_ino,
        at.st_size,
        at.st_mtime_ns,
        at.st_ctime_ns,
        key,
        tuple(na_values),
        tuple(lists),
        separator,
        str(limits),
    )
    if mark not in _known:
        found = _read(path, key, limits, na_values, lists, separator)
        if at.st_size > REMEMBERED or len(found[0]) > LONG:
            return found
        while len(_known) >= KEPT:
            del _known[next(iter(_known))]
        _known[mark] = found
    rows, notes = _known[mark]
    return rows.copy(), [*notes]


def _read(
    path: Path, key: str | None, limits: Limits, na_values: Sequence[str], lists: Collection[str], given: str | None
) -> tuple[pd.DataFrame, list[str]]:
    suffix = path.suffix.lower()
    notes: list[str] = []
    with readable(str(path), f"{suffix[1:]} table"):
        if suffix in DELIMITED:
            rows, separator, notes = read_delimited(path, given)
        elif suffix in EXCEL:
            rows, separator, notes = _excel(path)
        elif suffix == ".parquet":
            _require_parquet(path, limits)
            rows, separator = read_parquet(path, lists), None
        elif suffix in LINES:
            found, notes = read_lines(path)
            rows, separator = frame(found, path.name), None
        else:
            known = ", ".join([*DELIMITED, ".xlsx", ".parquet"])
            raise DataError(f"{path}: expected {known} or .jsonl, found {suffix or 'no suffix'}")
    return typed(rows, key, separator, set(na_values), path.name, notes)


def require_column(rows: pd.DataFrame, column: str, where: str, key: str = "") -> None:
    """`DataError` where a column is not there, or there twice."""
    count = list(rows.columns).count(column)
    said = f" ({key})" if key else ""
    if count > 1:
        raise DataError(f"{where}: {count} columns are called {column!r}{said}; rename all but one")
    if not count:
        names = [str(c) for c in rows.columns]
        listed = ", ".join(names) if len(names) <= MANY else some(names)
        near = [c for c in names if _folded(c) == _folded(column)] or nearest(column, names)
        raise DataError(f"{where}: no column {column!r}{said}; there are {listed}; nearest: {near[0]}")


def doubts(rows: pd.DataFrame, columns: Collection[str], name: str) -> list[str]:
    """What a table's classes look like and are not taken for: missing values, and two spellings of one class."""
    missing: list[str] = []
    spelt: list[str] = []
    for column in dict.fromkeys(c for c in columns if c in rows):
        counts = Counter(v for v in rows[column] if isinstance(v, str))
        words = {v: n for v, n in counts.items() if v.lower() in DOUBTFUL}
        missing += [f"{column} {', '.join(f'{v!r} ({n})' for v, n in words.items())}"] if words else []
        if len(counts) <= CLASSES:
            alike: dict[str, list[str]] = {}
            for value in counts:
                alike.setdefault(_folded(value), []).append(value)
            spelt += [
                f"{column} {' and '.join(f'{v!r} ({counts[v]})' for v in sorted(values))}"
                for values in alike.values()
                if len(values) > 1
            ]
    notes = []
    if missing:
        notes.append(
            f"{name}: only an empty field is missing, so that these are values like any other: {'; '.join(missing)} "
            "(name those that mean missing in na_values)"
        )
    if spelt:
        notes.append(
            f"warning: {name}: different values, though they differ in case or accents alone: {'; '.join(spelt)}"
        )
    return notes


def read_lines(path: Path) -> tuple[list[dict[str, object]], list[str]]:
    """The objects of a JSONL file, one a line, and what to tell of it; `DataError` names the line that isn't one."""
    rows = []
    with readable(str(path), "JSONL file"):
        text, encoding = decode(path.read_bytes())
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: line {number} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise DataError(f"{path}: line {number} is a JSON {type(row).__name__}, expected an object")
        rows.append(row)
    return rows, encoding_note(path.name, encoding)


def of_rows(rows: list[dict[str, Any]], id: str, files: Sequence[str], texts: Sequence[str], file: str) -> pd.DataFrame:
    """The rows as a sample table, named by their column `id`; `DataError` where a column of `files` or `texts` is not there."""
    for row in rows:
        row[id] = str(row[id])
    made = frame(rows, file)
    for column in [*files, *texts]:
        if column not in made:
            raise DataError(f"{file}: no row has a column {column!r}; there are {some(list(made.columns))}")
    if clash := [c for c in ("id", "path") if c in made and c != id and c not in files]:
        raise DataError(f"{file}: has a column {clash[0]!r}, which is the reader's own; rename it")
    if "path" not in made:
        made["path"] = made[files[0]] if files else file
    return made if id == "id" else made.assign(id=made[id])


def frame(rows: list[dict[str, object]], file: str) -> pd.DataFrame:
    """A table of the JSON objects of a file; integers stay whole where some are missing."""
    made = pd.DataFrame(rows, dtype=object)
    for column in made.columns:
        kinds = {type(v) for v in made[column] if v is not None and v == v}
        try:
            made[column] = made[column].astype("Int64") if kinds == {int} else made[column].infer_objects()
        except UnicodeEncodeError:
            texts = ((row, half_character(v)) for row, v in enumerate(made[column], 1) if isinstance(v, str))
            row, said = next((row, said) for row, said in texts if said)
            raise DataError(f"{file}: {column} of row {row}: {said}") from None
    return made


def _folded(value: str) -> str:
    return unicodedata.normalize("NFKC", value).casefold()


def _excel(path: Path) -> tuple[pd.DataFrame, str, list[str]]:
    """The first sheet, every cell as text."""
    try:
        sheets: dict[str, pd.DataFrame] = pd.read_excel(
            path, sheet_name=None, header=None, dtype=object, keep_default_na=False, na_values=[""]
        )
    except ImportError as error:
        raise DataError(f"{path}: Excel files need `pip install openpyxl`; or save it as CSV") from error
    sheet, rows = next(iter(sheets.items()))
    texts = rows.map(lambda v: None if v is None or v != v else as_text(v))
    body = texts.iloc[1:].copy()
    body.columns = pd.Index(["" if v is None else v for v in texts.iloc[0]], dtype=object)
    body.index = pd.RangeIndex(len(body))
    notes = [f"{path.name}: of {len(sheets)} sheets the first, {sheet!r}, is read"] if len(sheets) > 1 else []
    return body, ";", notes


def _require_parquet(path: Path, limits: Limits) -> None:
    """Refuse a Parquet file whose footer claims more values than its bytes can be: a run of one value takes none."""
    from pyarrow import parquet

    facts = parquet.read_metadata(path)
    limits.count(str(path), facts.num_rows)
    whole = sum(facts.row_group(i).total_byte_size for i in range(facts.num_row_groups))
    limits.swell(str(path), max(whole, facts.num_rows * facts.num_columns * 8), path.stat().st_size)
