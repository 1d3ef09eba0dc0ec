"""Reader of Hugging Face's ImageFolder with metadata: images beside metadata.csv, .jsonl or .parquet, splits as folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from multimodal_lab.data.readers.folder import existing, find
from multimodal_lab.data.readers.gaps import Missing
from multimodal_lab.data.readers.headers import Verify
from multimodal_lab.data.readers.images import SUFFIXES, Colour
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.media_table import MediaTable
from multimodal_lab.data.readers.pair_rows import Rows, from_table
from multimodal_lab.data.readers.split_folders import split_of
from multimodal_lab.data.source import DataError
from multimodal_lab.text import expected_one_of, some

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
NAME = "file_name"  # of an image; X_file_name of a second one, X


class ImageFolder(MediaTable):
    """The rows of every `metadata.csv|jsonl|parquet` below `root`, whose `file_name` is relative to that file's folder.

    The column of images is called `image` (of `X_file_name`, `X`), as the library `datasets` does. A column `split` is added
    where a folder on the way to every image is called train, validation, test or a word like it, and no column of the files
    says it. Images that no row names are left out and counted. texts, id, labels, na_values: as in `Pairs`.
    """

    def __init__(
        self,
        root: str,
        *,
        texts: list[str] | None = None,
        id: str | None = None,
        labels: list[str] | None = None,
        missing: Missing = "refuse",
        na_values: list[str] | None = None,
        colour: Colour | dict[str, Colour] = "to_rgb",
        alpha: Literal["refuse", "drop", "white", "black"] = "refuse",
        limits: Limits | None = None,
        on_error: Literal["raise", "skip", "substitute"] = "raise",
        verify: Verify = "all",
    ) -> None:
        base, limits = existing(root), limits or Limits()
        every = find(base, (*METADATA, *SUFFIXES))
        files = [path for path in every if PurePosixPath(path).name.lower() in METADATA]
        if not files:
            raise DataError(f"{base}: none of {', '.join(METADATA)}; folders of classes without one are data=images")
        rows, images, notes = _rows(base, files, limits, na_values or ())
        super().__init__(
            base, some(files), rows, notes, images=images, texts=texts, id=id, needed=labels or [], missing=missing,
            colour=colour, alpha=alpha, limits=limits, on_error=on_error, verify=verify,
        )  # fmt: skip
        named = {path for column in images for path in self.samples[column].dropna()}
        if left := [path for path in every if path not in named and path not in files]:
            self.notes.append(f"warning: left out: {len(left)} images that no row names: {some(left)}")


def _rows(
    root: Path, files: Sequence[str], limits: Limits, na_values: Sequence[str]
) -> tuple[Rows, list[str], list[str]]:
    """The rows of all files, with paths below the root in place of names; the columns of images; what there is to tell."""
    rows: Rows = []
    columns: dict[str, None] = {}
    notes: list[str] = []
    for file in files:
        own, told = from_table(root, file, limits, na_values)
        notes += told
        there = list(dict.fromkeys(c for row in own for c in row))
        names = [c for c in there if c == NAME or c.endswith(f"_{NAME}")]
        if not names:
            raise DataError(f"{file}: no column {NAME!r}, which names the images; {expected_one_of(NAME, there)}")
        for name in names:
            column = name.removesuffix(NAME).rstrip("_") or "image"
            if column in there:
                raise DataError(
                    f"{file}: has the columns {name!r} and {column!r}, as the first would be called; rename one"
                )
            columns[column] = None
            folder = PurePosixPath(file).parent
            for row in own:
                row[column] = _below(folder, row.pop(name, None))
        rows += own
    _split(rows, list(columns), notes)
    return rows, list(columns), notes


def _below(folder: PurePosixPath, name: Any) -> Any:
    """A name relative to a folder, relative to what the folder is relative to; what is no relative path stays as it is."""
    if not isinstance(name, str) or not name or folder == PurePosixPath() or PurePosixPath(name).is_absolute():
        return name
    return f"{folder}/{name.removeprefix('./')}"


def _split(rows: Rows, columns: Sequence[str], notes: list[str]) -> None:
    """Add a column `split` by the folders of each row's first image."""
    if any("split" in row for row in rows):
        return
    found = []
    for row in rows:
        path = next((row[c] for c in columns if isinstance(row.get(c), str)), "")
        found.append(split_of(path))
    known = sum(split is not None for split in found)
    if known == len(rows):
        for row, split in zip(rows, found):
            row["split"] = split
        notes.append("column split: by the folders called " + ", ".join(dict.fromkeys(map(str, found))))
    elif known:
        lacking = len(rows) - known
        notes.append(
            f"warning: folders tell no split: {lacking} of {len(rows)} images are in none called train, val or test"
        )
