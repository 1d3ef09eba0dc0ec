"""Rows of the same image (several captions): kept in one split, positives of each other, one item of a gallery."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from multimodal_lab.data import kinds
from multimodal_lab.data.source import DataError, Source
from multimodal_lab.data.split import linked
from multimodal_lab.data.split.split import SplitRows
from multimodal_lab.text import expected_one_of
from multimodal_lab.types import Stream

SAME = "same_image"


def group(samples: pd.DataFrame, images: Sequence[str]) -> tuple[pd.DataFrame, str | None]:
    """The table, and the column whose equal values mark rows that have an image in common; None if no image repeats.

    images: columns of paths. It is the one of them that says it all, else a column `same_image`, added: the id of the
    first of the rows that hang together, where two images columns repeat or some rows have no image.
    """
    home = _joined(samples, images)
    if len(np.unique(home)) == len(home):
        return samples, None
    for column in images:
        values = samples[column]
        if not values.isna().any() and (values != "").all() and np.array_equal(_first(values), home):
            return samples, column
    if SAME in samples:
        raise DataError(f"data.source: has a column {SAME!r}, which is the reader's own; rename it")
    return samples.assign(**{SAME: samples["id"].to_numpy()[home]}), SAME


def first_rows(source: Source) -> np.ndarray | None:
    """(N,) the first row that shows the same as each row, by the source's `together`; None where it has none."""
    column = getattr(source, "together", None)
    return None if column is None else _first(source.samples[column])


def item_rows(source: Source, stream: Stream, column: str | None = None) -> np.ndarray | None:
    """(N,) the first row that holds in `stream` what each row holds; None where no two hold the same.

    Those of one value of `column`, else of the column that the source's `items` names for the stream's field.
    """
    known = getattr(source, "items", None) or {}
    if column is None and stream.field in ("", stream.name):
        words = getattr(source, "text_columns", ())
        of_text = kinds.of(stream).stored == "column"
        fields = [field for field in (words if of_text else known) if (field in words) == of_text]
        column = known.get(fields[0]) if len(fields) == 1 else None  # the only one that the stream can be of
    column = column or known.get(stream.field) or known.get(stream.name)  # a stream may be called like its column
    if column is None:
        return None
    values = source.samples[column]
    own = np.arange(len(values))
    paths = values.map(lambda v: posixpath.normpath(v) if isinstance(v, str) else str(v))
    first = np.where(values.isna() | (values == ""), own, _first(paths))
    return None if np.array_equal(first, own) else first


def require_items(items: Mapping[str, str], streams: Collection[str], samples: pd.DataFrame) -> None:
    """`DataError` where `items` {stream: column} names no stream, or no column of the table."""
    for name, column in items.items():
        for what, word, there in (("stream", name, [*streams]), ("column", column, [*samples])):
            if word not in there:
                near = expected_one_of(word, [str(one) for one in there])
                raise DataError(f"data.items: there is no {what} {word!r}; {near}")


def require_whole(source: Source, splits: SplitRows, official: str | None) -> None:
    """`DataError` where rows that show one thing stand in two splits."""
    home, column = first_rows(source), getattr(source, "together", None)
    if home is None:
        return
    seen: dict[int, str] = {}
    torn: dict[int, str] = {}
    for name, rows in splits.items():
        for value in np.unique(home[rows]).tolist():
            if seen.setdefault(value, name) != name:
                torn.setdefault(value, f"{seen[value]} and {name}")
    if torn:
        row, where = next(iter(torn.items()))
        cure = f"correct the column {official}, or data.split.column=null" if official else "hold images together"
        raise DataError(
            f"data.split: {len(torn)} of {len(np.unique(home))} images stand in more than one split, such as "
            f"{source.samples[column].iloc[row]!r} in {where}, with a caption each: what is tested was trained on; {cure} "
            f"(nearest: data.split.by={column})"
        )


def _first(values: pd.Series) -> np.ndarray:
    _, first, inverse = np.unique(values.astype(str).to_numpy(dtype=object), return_index=True, return_inverse=True)
    return np.asarray(first[inverse])


def _joined(samples: pd.DataFrame, images: Sequence[str]) -> np.ndarray:
    """(N,) the first row that each row hangs together with, over any number of shared images."""
    cells = [
        (row, path) for column in images for row, path in enumerate(samples[column]) if isinstance(path, str) and path
    ]
    rows = np.array([row for row, _ in cells], dtype=np.int64)
    values = pd.factorize(np.array([posixpath.normpath(path) for _, path in cells], dtype=object))[0]
    return linked.first_rows(len(samples), rows, values)
