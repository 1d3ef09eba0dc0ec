"""Labels of files: from folders, file names or a table."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

import pandas as pd

from multimodal_lab.data.readers import split_lists
from multimodal_lab.data.readers.filename_labels import PRESETS, compiled, infer, parsed
from multimodal_lab.data.readers.folder import given, left_out
from multimodal_lab.data.readers.name_match import loosely, parts
from multimodal_lab.data.readers.tables import doubts, read_table, require_column
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.labels import COMPLETE
from multimodal_lab.text import some

RESERVED = ("id", "path", "height", "width")
KEEP = "data.source.labels.missing_labels"


class Labels:
    """One column per label for a table of files; every choice may be set, and no two may name the same column.

    folders: names for the folders between the root and the file, outermost first. pattern: a preset (`birds`:
    Genus_species_<individual>_<sex>_<view>; `lepidoptera`: Genus species_<individual><view>_<ddmmyy>), a template such as
    `{species}_{individual}_{sex}`, a regular expression with named groups that the whole file name without suffix must
    match, or `auto`: what `filename_labels.infer` finds where neither folders nor a table are given. table: CSV, TSV,
    Excel, Parquet or JSONL, absolute or below the root, see `read_table`, whose column `key` is a file's id, relative path,
    name, or name without suffix; as another system writes them too, where that is unique. `columns` are the ones to take
    (all by default), `na_values` the words in it that mean missing, beside the empty field. lists: {split: a text file of
    file names}, published splits as a column `split` for `data.split.column=split`, see `split_lists`. A file may lack a
    value of a folder, a pattern or a label that is learnt only if `missing_labels` is `keep`. What was inferred is told in
    `notes`.
    """

    def __init__(
        self,
        *,
        folders: list[str] | None = None,
        pattern: str | None = None,
        table: str | None = None,
        key: str = "filename",
        columns: list[str] | None = None,
        na_values: list[str] | None = None,
        lists: dict[str, str] | None = None,
        missing_labels: Literal["refuse", "keep"] = "refuse",
    ) -> None:
        self.folders = folders or []
        self.pattern = pattern
        self.table = table
        self.key = key
        self.columns = columns
        self.na_values = na_values or []
        self.lists = lists or {}
        self.missing_labels = missing_labels
        self.notes: list[str] = []

    def __call__(self, root: Path, samples: pd.DataFrame) -> pd.DataFrame:
        """`samples` (with `id` and `path`) and the label columns; `DataError` for files without, or a clash."""
        tables, self.notes = [], []
        if self.folders:
            tables.append(self._from_folders(samples))
        if self.pattern == "auto":
            tables += self._inferred(samples)
        elif self.pattern:
            tables.append(self._from_names(samples))
        complete: dict[str, str] = {}
        if self.table:
            tables.append(self._from_table(given(root, self.table, "data.source.labels.table"), samples))
            complete = {} if self.missing_labels == "keep" else dict.fromkeys(map(str, tables[-1].columns), KEEP)
        if self.lists:
            tables.append(self._from_lists(root, samples))
        for part in tables:
            clash = [c for c in part.columns if c in samples.columns or c in RESERVED]
            if clash:
                raise DataError(
                    f"data.source.labels: column {clash[0]!r} comes from two places; name those to take in `columns`"
                )
            samples = pd.concat([samples, part], axis=1)
        samples.attrs[COMPLETE] = complete
        return samples

    def _from_folders(self, samples: pd.DataFrame) -> pd.DataFrame:
        rows: list[list[str | None]] = []
        wrong: list[str] = []
        for path in samples.path:
            parents = list(PurePosixPath(unicodedata.normalize("NFC", path)).parts[:-1])
            wrong += [path] * (len(parents) != len(self.folders))
            rows.append([*parents] if len(parents) == len(self.folders) else [None] * len(self.folders))
        if wrong:
            found = len(PurePosixPath(wrong[0]).parts) - 1
            said = (
                f"{wrong[0]}: stands in {found} folders below the root, expected {len(self.folders)} "
                f"({'/'.join(self.folders)}/{PurePosixPath(wrong[0]).name})"
            )
            self._lacking("stand in another number of folders", wrong, len(samples), said)
        return pd.DataFrame(rows, columns=self.folders)

    def _inferred(self, samples: pd.DataFrame) -> list[pd.DataFrame]:
        if self.folders or self.table:
            return []
        found, note = infer(samples)
        self.notes.append(note)
        return [found]

    def _from_names(self, samples: pd.DataFrame) -> pd.DataFrame:
        regex = compiled(str(self.pattern))
        made, rest = parsed(regex, samples, whole_path="/" in str(self.pattern) and self.pattern not in PRESETS)
        if rest:
            said = f"{rest[0]}: its name does not match data.source.labels.pattern={self.pattern} ({regex.text})"
            self._lacking("do not match the pattern", rest, len(samples), said)
        return made

    def _lacking(self, what: str, files: Sequence[str], total: int, first: str) -> None:
        """Refuse files without labels, or tell of them."""
        count = f"{len(files)} of {total} files {what}: {some(files)}"
        if self.missing_labels == "refuse":
            raise DataError(f"{first}; {count} ({KEEP}=keep keeps them unlabelled)")
        self.notes.append(f"{count}; they are unlabelled")

    def _from_table(self, path: Path, samples: pd.DataFrame) -> pd.DataFrame:
        rows, notes = read_table(path, self.key, na_values=self.na_values)
        if self.key not in rows:
            names = {parts(file)[-1] for file in samples.path}
            known = {c: len(names & {parts(v)[-1] for v in rows[c] if isinstance(v, str)}) for c in rows.columns}
            best = max(known, key=lambda c: known[c])
            if known[best]:
                said = f"{known[best]} of {len(samples)} files are named in {best}: data.source.labels.key={best}"
                raise DataError(f"{path}: no column {self.key!r} (data.source.labels.key); {said}")
        require_column(rows, self.key, str(path), "data.source.labels.key")
        wanted = [c for c in rows.columns if c != self.key] if self.columns is None else self.columns
        for column in wanted:
            require_column(rows, column, str(path))
        nameless = rows[self.key].isna()
        if nameless.any():
            notes.append(f"warning: {path.name}: {int(nameless.sum())} rows name no file in {self.key}")
            rows = rows[~nameless]
        rows = rows.reset_index(drop=True)
        keys = rows[self.key].astype(str)
        if keys.duplicated().any():
            raise DataError(
                f"{path}: {self.key} {some(list(keys[keys.duplicated()].unique()))} stands in more than one row"
            )
        match, spelt = _matched(samples, list(keys), path)
        self.notes += [*notes, *doubts(rows, wanted, path.name), *spelt]
        self._report(path, rows[wanted], match, samples, keys)
        return rows[wanted].reindex(match).reset_index(drop=True)

    def _from_lists(self, root: Path, samples: pd.DataFrame) -> pd.DataFrame:
        """The column `split` by published lists; every file stands in one of them, and what they name is there."""
        listed = split_lists.read(root, self.lists)
        keys, where = [*listed], Path(", ".join(self.lists.values()))
        match, spelt = _matched(samples, keys, where)
        self.notes += spelt
        absent, used = [p for p, i in zip(samples.path, match) if i < 0], {*match}
        gone = [key for i, key in enumerate(keys) if i not in used]
        if absent or gone:
            said = [f"{len(absent)} of {len(samples)} files are in none: {some(absent)}"] if absent else []
            said += [f"{len(gone)} of {len(keys)} names are no file: {some(gone)}"] if gone else []
            raise DataError(f"{split_lists.KEY} ({where}): {'; '.join(said)}; expected each file in one list")
        return pd.DataFrame({split_lists.COLUMN: [listed[keys[i]] for i in match]})

    def _report(self, path: Path, rows: pd.DataFrame, match: list[int], samples: pd.DataFrame, keys: pd.Series) -> None:
        empty = rows[self.columns or []].isna().any(axis=1).to_numpy()
        missing = [p for p, i in zip(samples.path, match) if i < 0 or empty[i]]
        unused = keys[~keys.index.isin(match)].tolist()
        also = f"; {len(unused)} rows of the table match no file: {some(unused)}" if unused else ""
        if missing and self.missing_labels == "refuse":
            raise DataError(
                f"{path}: no labels for {len(missing)} of {len(samples)} files: {some(missing)}{also} "
                f"({KEEP}=keep keeps them unlabelled)"
            )
        if missing:
            self.notes.append(f"{path.name}: no labels for {len(missing)} of {len(samples)} files: {some(missing)}")
        if unused:
            warnings.warn(f"{path}{also}".replace("; ", ": ", 1), stacklevel=2)


def labelled(root: Path, samples: pd.DataFrame, labels: Labels | None) -> tuple[pd.DataFrame, list[str]]:
    """The samples with their label columns, and what there is to say of how these were found and of files left out."""
    notes = left_out(root, list(samples.path))
    return (samples, notes) if labels is None else (labels(root, samples), [*notes, *labels.notes])


def _matched(samples: pd.DataFrame, keys: list[str], path: Path) -> tuple[list[int], list[str]]:
    """For each file the row of its key, -1 where there is none, and a note; a key that means two files is refused."""
    row_of = {key: i for i, key in enumerate(keys)}
    owner: dict[int, str] = {}
    match: list[int] = []
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
    left = [i for i, row in enumerate(match) if row < 0]
    more = loosely(list(samples.path), keys, left, [i for i in range(len(keys)) if i not in owner]) if left else {}
    for file, row in more.items():
        match[file] = row
    if not more:
        return match, []
    file, row = next(iter(more.items()))
    said = f"{len(more)} of {len(samples)} files are matched to names written in another way"
    return match, [f"{path.name}: {said}, such as {keys[row]!r} for {samples.path.iloc[file]}"]
