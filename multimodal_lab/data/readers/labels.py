"""Labels of files: from folders, file names or a table."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path, PurePosixPath
from typing import Literal

import pandas as pd

from multimodal_lab.data.readers.filename_labels import PRESETS, infer
from multimodal_lab.data.readers.folder import given, readable, some
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.source import DataError

RESERVED = ("id", "path", "height", "width")


class Labels:
    """One column per label for a table of files; every choice may be set, and no two may name the same column.

    folders: names for the folders between the root and the file, outermost first. pattern: a preset (`birds`:
    Genus_species_<individual>_<sex>_<view>; `lepidoptera`: Genus species_<individual><view>_<ddmmyy>), a regular
    expression with named groups that the whole file name without suffix must match, or `auto`: what `filename_labels.infer` finds
    where neither folders nor a table are given, told in `notes`. table: CSV, TSV, Parquet or JSONL,
    absolute or below the root, whose column `key` is a file's id, relative path, name, or name without suffix;
    `columns` are the ones to take (all by default), in which a file may lack a value only if `missing_labels` is
    `keep`.
    """

    def __init__(
        self,
        *,
        folders: list[str] | None = None,
        pattern: str | None = None,
        table: str | None = None,
        key: str = "filename",
        columns: list[str] | None = None,
        missing_labels: Literal["refuse", "keep"] = "refuse",
    ) -> None:
        self.folders = folders or []
        self.pattern = pattern
        self.table = table
        self.key = key
        self.columns = columns
        self.missing_labels = missing_labels
        self.notes: list[str] = []

    def __call__(self, root: Path, samples: pd.DataFrame) -> pd.DataFrame:
        """`samples` (with `id` and `path`) and the label columns; `DataError` for files without, or a clash."""
        parts = []
        if self.folders:
            parts.append(pd.DataFrame([self._from_folders(p) for p in samples.path], columns=self.folders))
        if self.pattern == "auto":
            parts += self._inferred(samples)
        elif self.pattern:
            parts.append(self._from_names(samples))
        if self.table:
            parts.append(self._from_table(given(root, self.table, "data.source.labels.table"), samples))
        for part in parts:
            clash = [c for c in part.columns if c in samples.columns or c in RESERVED]
            if clash:
                raise DataError(
                    f"data.source.labels: column {clash[0]!r} comes from two places; name those to take in `columns`"
                )
            samples = pd.concat([samples, part], axis=1)
        return samples

    def _from_folders(self, path: str) -> list[str]:
        parents = list(PurePosixPath(path).parts[:-1])
        if len(parents) != len(self.folders):
            raise DataError(
                f"{path}: stands in {len(parents)} folders below the root, expected {len(self.folders)} "
                f"({'/'.join(self.folders)}/{PurePosixPath(path).name})"
            )
        return parents

    def _inferred(self, samples: pd.DataFrame) -> list[pd.DataFrame]:
        if self.folders or self.table:
            return []
        found, note = infer(samples)
        self.notes = [note]
        return [found]

    def _from_names(self, samples: pd.DataFrame) -> pd.DataFrame:
        regex = _compiled(str(self.pattern))
        rows = []
        for path, name in zip(samples.path, samples.id):
            match = regex.fullmatch(PurePosixPath(name).name)
            if match is None:
                raise DataError(
                    f"{path}: its name does not match data.source.labels.pattern={self.pattern} ({regex.pattern})"
                )
            rows.append(match.groupdict())
        return pd.DataFrame(rows, columns=list(regex.groupindex))

    def _from_table(self, path: Path, samples: pd.DataFrame) -> pd.DataFrame:
        rows = read_table(path, self.key)
        wanted = [c for c in rows.columns if c != self.key] if self.columns is None else self.columns
        for column in [self.key, *wanted]:
            if column not in rows.columns:
                raise DataError(f"{path}: no column {column!r}; there are {', '.join(map(str, rows.columns))}")
        keys = rows[self.key].astype(str)
        if keys.duplicated().any():
            raise DataError(
                f"{path}: {self.key} {some(list(keys[keys.duplicated()].unique()))} stands in more than one row"
            )
        match = _matched(samples, keys, path)
        self._report(path, rows[wanted], match, samples, keys)
        return rows[wanted].reindex(match).reset_index(drop=True)

    def _report(self, path: Path, rows: pd.DataFrame, match: list[int], samples: pd.DataFrame, keys: pd.Series) -> None:
        empty = rows[self.columns or []].isna().any(axis=1).to_numpy()
        missing = [p for p, i in zip(samples.path, match) if i < 0 or empty[i]]
        unused = keys[~keys.index.isin(match)].tolist()
        also = f"; {len(unused)} rows of the table match no file: {some(unused)}" if unused else ""
        if missing and self.missing_labels == "refuse":
            raise DataError(
                f"{path}: no labels for {len(missing)} of {len(samples)} files: {some(missing)}{also} "
                "(data.source.labels.missing_labels=keep keeps them unlabelled)"
            )
        if unused:
            warnings.warn(f"{path}{also}".replace("; ", ": ", 1), stacklevel=2)


def labelled(root: Path, samples: pd.DataFrame, labels: Labels | None) -> tuple[pd.DataFrame, list[str]]:
    """The samples with their label columns, and what there is to say of how these were found."""
    return (samples, []) if labels is None else (labels(root, samples), labels.notes)


def read_table(path: Path, key: str | None = None, limits: Limits | None = None) -> pd.DataFrame:
    """A CSV, TSV, Parquet or JSONL file, its column `key` as text; a broken or other one is a `DataError`."""
    suffix, limits = path.suffix.lower(), limits or Limits()
    limits.file(str(path), path)
    with readable(str(path), f"{suffix[1:]} table"):
        if suffix in (".csv", ".tsv"):
            separator, kinds = ("," if suffix == ".csv" else "\t"), ({key: str} if key else None)
            rows = pd.read_csv(path, sep=separator, dtype=kinds, dtype_backend="numpy_nullable")
            if not isinstance(rows.index, pd.RangeIndex):  # pandas would take the surplus for an index
                raise DataError(f"{path}: rows with more values than the header names, expected {len(rows.columns)}")
            return rows
        if suffix == ".parquet":
            _require_parquet(path, limits)
            return pd.read_parquet(path, dtype_backend="numpy_nullable")
        if suffix == ".jsonl":
            return frame(read_lines(path))
    raise DataError(f"{path}: expected .csv, .tsv, .parquet or .jsonl, found {suffix or 'no suffix'}")


def _require_parquet(path: Path, limits: Limits) -> None:
    """Refuse a Parquet file whose footer claims more values than its bytes can be: a run of one value takes none."""
    from pyarrow import parquet

    facts = parquet.read_metadata(path)
    limits.count(str(path), facts.num_rows)
    whole = sum(facts.row_group(i).total_byte_size for i in range(facts.num_row_groups))
    limits.swell(str(path), max(whole, facts.num_rows * facts.num_columns * 8), path.stat().st_size)


def read_lines(path: Path) -> list[dict[str, object]]:
    """The objects of a JSONL file, one a line; `DataError` names the line that isn't one."""
    rows = []
    with readable(str(path), "JSONL file in UTF-8"), path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise DataError(f"{path}: line {number} is not JSON: {error}") from error
            if not isinstance(row, dict):
                raise DataError(f"{path}: line {number} is a JSON {type(row).__name__}, expected an object")
            rows.append(row)
    return rows


def frame(rows: list[dict[str, object]]) -> pd.DataFrame:
    """A table of JSON objects; integers stay whole where some are missing."""
    made = pd.DataFrame(rows, dtype=object)
    for column in made.columns:
        kinds = {type(v) for v in made[column] if v is not None and v == v}
        made[column] = made[column].astype("Int64") if kinds == {int} else made[column].infer_objects()
    return made


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        regex = re.compile(PRESETS.get(pattern, pattern))
    except re.error as error:
        raise DataError(f"data.source.labels.pattern: {pattern!r} is not a regular expression: {error}") from error
    if not regex.groupindex:
        raise DataError(
            f"data.source.labels.pattern: {pattern!r} names no label; presets: {', '.join(PRESETS)}; or use (?P<name>…)"
        )
    return regex


def _matched(samples: pd.DataFrame, keys: pd.Series, path: Path) -> list[int]:
    """For each file the row of its key, -1 where there is none; a key that means two files is refused."""
    row_of = {key: i for i, key in enumerate(keys)}
    owner: dict[int, str] = {}
    match = []
    for name, file in zip(samples.id, samples.path):
        posix = PurePosixPath(file)
        rows = {row_of[k] for k in (name, file, posix.name, posix.stem, PurePosixPath(name).name) if k in row_of}
        if len(rows) > 1:
            raise DataError(f"{path}: rows {some([keys[i] for i in sorted(rows)])} all mean {file}")
        row = next(iter(rows), -1)
        if row >= 0 and row in owner:
            raise DataError(f"{path}: {keys[row]!r} means both {owner[row]} and {file}; use paths relative to the root")
        owner[row] = file
        match.append(row)
    return match
