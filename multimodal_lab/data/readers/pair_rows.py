"""The rows of a set of image–text pairs: from a table, from COCO's annotations, or from folders joined by file name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multimodal_lab.data import kinds
from multimodal_lab.data.readers import coco_captions
from multimodal_lab.data.readers.columns.medium import Medium
from multimodal_lab.data.readers.delimited import decode
from multimodal_lab.data.readers.folder import existing, find, given
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.name_match import parts
from multimodal_lab.data.readers.tables import DELIMITED, LINES, read_lines, read_table
from multimodal_lab.data.source import DataError, NoStream
from multimodal_lab.data.streams.bands import need_kind
from multimodal_lab.text import some
from multimodal_lab.types import Stream

Rows = list[dict[str, Any]]
TABLES = (*LINES, *DELIMITED, ".parquet", ".json")
USUAL = ("index", "metadata", "captions", "pairs", "annotations")  # names of a table, the likeliest first
TEXTS = ("text", "caption", "texts", "captions", "sentence", "sentences", "description", "prompt", "title")


def the_table(root: Path, file: str | None) -> str:
    """The table that the config names, else the one there is in `root`: `index.jsonl`, `metadata.jsonl`, …, or the only one."""
    if file is not None:
        return file
    there = sorted(p.name for p in root.iterdir() if p.suffix.lower() in TABLES and p.name[0] != "." and p.is_file())
    usual = [n for name in USUAL for suffix in TABLES for n in there if n.lower() == name + suffix]
    if usual or len(there) == 1:
        return (usual or there)[0]
    found = f"there are {some(there)}; name one: data.source.file={there[0]}" if there else f"expected {USUAL[0]}.jsonl"
    raise DataError(f"{root}: no table of pairs (data.source.file); {found}")


def from_table(
    root: Path, file: str, limits: Limits, na_values: Sequence[str], separator: str | None = None
) -> tuple[Rows, list[str]]:
    """The rows of a table below `root`, None where a field is missing, and what there is to tell of it."""
    path = given(root, file, "data.source.file")
    limits.check(file, itemsize=max(1, path.stat().st_size))
    suffix = path.suffix.lower()
    if suffix in LINES:
        return read_lines(path)
    if suffix == ".json":
        return _of_json(coco_captions.read_json(path, file, limits), file), []
    rows, notes = read_table(path, None, limits, na_values, separator=separator)
    twice = rows.columns[rows.columns.duplicated()]
    if len(twice):
        raise DataError(f"{file}: several columns are called {twice[0]!r}; rename all but one")
    return records(rows), notes


def records(table: pd.DataFrame) -> Rows:
    """The rows of a table as they are, None where a value is missing."""
    found = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(column): _plain(value) for column, value in row.items()} for row in found]


def from_folders(
    root: Path, folders: Mapping[str, str], media: Sequence[type[Medium]]
) -> tuple[Rows, dict[str, list[str]], list[str]]:
    """A row for each file name (without suffix) of the folders {column: folder}, the columns of each of the `media` by its
    `key`, those of `texts` (folders of .txt files), and what there is to tell."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    notes: list[str] = []
    columns: dict[str, list[str]] = {**{medium.key: [] for medium in media}, "texts": []}
    for column, folder in folders.items():
        below = existing(str(root / folder))
        if not below.is_relative_to(root):
            raise DataError(f"data.source.folders.{column}: {folder!r} is not below {root}")
        there = {p.suffix.lower() for p in below.rglob("*")}
        medium = next((m for m in media if there & {*m.suffixes}), None)
        what = "pictures" if medium is None or medium.key == "images" else f"{medium.called}s"
        columns[medium.key if medium else "texts"].append(column)
        for path in find(below, medium.suffixes if medium else (".txt",)):
            row = rows.setdefault(parts(path), {"id": str(Path(path).with_suffix("").as_posix())})
            if column in row:
                raise DataError(f"data.source.folders.{column}: {path} and {row[column]} have one name")
            row[column] = f"{folder.strip('/')}/{path}" if medium else decode((below / path).read_bytes())[0].strip()
        notes.append(f"{column}: the {what if medium else 'texts'} of {folder}/, joined by file name without suffix")
    for column in folders:
        lacking = [row["id"] for row in rows.values() if column not in row]
        notes += [f"{column}: no file for {len(lacking)} of {len(rows)} names: {some(lacking)}"] if lacking else []
    return [rows[name] for name in sorted(rows)], columns, notes


def columns_of_files(rows: Rows, suffixes: Collection[str]) -> list[str]:
    """The columns whose values all name files of some suffixes."""
    return [
        c for c in _columns(rows) if (known := _known(rows, c)) and all(_ends_in(value, suffixes) for value in known)
    ]


def no_file(file: str, rows: Rows, suffixes: Collection[str], others: Sequence[str]) -> DataError:
    """No column names pictures, or one of the `others`: told by the first value of a column that mostly does and is none, else
    by what columns there are."""
    said = f"{file}: no column names {' or '.join(['pictures (data.source.images)', *others])}"
    for c in _columns(rows):
        wrong = [n for n, row in enumerate(rows, 1) if _known([row], c) and not _ends_in(row[c], suffixes)]
        if 0 < len(wrong) < len(known := _known(rows, c)) / 2:
            most, row = (
                f"{len(known) - len(wrong)} of {len(known)} rows",
                f"row {wrong[0]} has {rows[wrong[0] - 1][c]!r}",
            )
            return DataError(f"{said}; {c!r} names such files in {most}, but {row}")
    return DataError(f"{said}; there are {some(_columns(rows))}; data=images reads pictures without a table")


def columns_of_texts(rows: Rows) -> list[str]:
    """The columns of text, by their usual names, the likeliest first; a row whose value is none is told once texts are read."""
    there = _columns(rows)
    named = [c for name in TEXTS for c in there if c.lower() == name]
    return [c for c in named if not (known := _known(rows, c)) or any(map(_is_text, known))]


KEYS = {"image": "images", "vector": "audio", "text": "texts"}  # of data.source, that list the columns of a kind


def field_of(
    stream: Stream, files: Mapping[str, Sequence[str]], texts: Sequence[str], where: str, columns: Iterable[object]
) -> str:
    """The field that a stream is cut from: that of its `field`, or of its own name, or the only one; else `NoStream`.

    files: {kind: the fields of files that are such}.
    """
    given = files or {"image": ()}
    need_kind([stream], [*given, "text"], where)
    of_text = kinds.of(stream).stored == "column"
    kind = "text" if of_text else next(k for k in given if kinds.alike(stream.kind, k))
    choices = list(texts if of_text else given[kind])
    unsaid = stream.field in ("", stream.name)  # a text stream without a field is called like its field
    if unsaid and stream.name not in choices and len(choices) == 1:
        return choices[0]
    field = stream.name if unsaid and stream.name in choices else stream.field
    if field not in choices:
        none = f"there is none; name some of {some([*columns])} in data.source.{KEYS.get(kind, 'images')}"
        expected = f"one of the {stream.kind} columns of {where}: {', '.join(choices) or none}"
        raise NoStream(f"modality.{stream.name}.field: {stream.field or 'none'}, expected {expected}")
    return field


def name_rows(
    rows: Rows, column: str | None, images: Sequence[str], file: str, called: str = "image"
) -> tuple[str, list[str]]:
    """Give every row a name of its own in the column that is returned, and say how.

    column: the config's; without it `id`, else the image, else the number of the row. Rows of one name and one image,
    that differ in their captions, are numbered.
    """
    key, notes = column or "id", []
    if column is None and not any("id" in row for row in rows):
        named = bool(images) and all(isinstance(row.get(images[0]), str) and row[images[0]] for row in rows)
        for number, row in enumerate(rows):
            row["id"] = row[images[0]] if named else str(number)
        notes.append(f"{file}: no column `id`; rows are named by {f'their {images[0]}' if named else 'their number'}")
    counts = Counter(str(row[key]) for row in rows)
    if max(counts.values(), default=1) == 1:
        return key, notes
    shown: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        shown.setdefault(str(row[key]), []).append(row)
    for name, several in shown.items():
        one_image = len({tuple(str(row.get(c)) for c in images) for row in several}) == 1
        if not one_image or (len(several) > 1 and len({repr(sorted(row.items())) for row in several}) < len(several)):
            how = f"with other {called}s" if not one_image else "with the same values"
            raise DataError(f"{file}: {key} {name} stands in more than one row, {how}")
    for name, several in shown.items():
        for number, row in enumerate(several if len(several) > 1 else ()):
            row[key] = f"{name}_{number}"
    repeated = sum(n > 1 for n in counts.values())
    most = max(counts.values())
    notes.append(
        f"{file}: {repeated} {called}s have up to {most} captions, a row each; their rows are named {key}_0, {key}_1, …"
    )
    return key, notes


def _of_json(found: Any, file: str) -> Rows:
    """A list of objects, COCO's `images` and `annotations` joined, or the Karpathy split: a row a caption."""
    if isinstance(found, dict) and isinstance(found.get("images"), list):
        of = coco_captions.official if "annotations" in found else coco_captions.karpathy
        images = of(found, file)
        return coco_captions.rows(images, [f"{one.folder}/{one.name}".lstrip("/") for one in images], "caption")
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise DataError(f"{file}: expected a list of objects, or `images` and `annotations` as COCO has them")
    return found


def _plain(value: Any) -> Any:
    """A list of Parquet, which pandas holds as an array, as a list."""
    return value.tolist() if isinstance(value, np.ndarray) else value


def _columns(rows: Rows) -> list[str]:
    return list(dict.fromkeys(c for row in rows for c in row))


def _known(rows: Rows, column: str) -> list[Any]:
    return [v for row in rows if (v := row.get(column)) not in (None, "", []) and not (isinstance(v, float) and v != v)]


def _ends_in(value: Any, suffixes: Collection[str]) -> bool:
    return isinstance(value, str) and Path(value.replace("\\", "/")).suffix.lower() in suffixes


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(v, str) for v in value))
