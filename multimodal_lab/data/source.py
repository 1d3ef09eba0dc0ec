"""The `Source` contract of a reader: a sample table and the samples' raw arrays."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd

from multimodal_lab.types import Band, Stream


class DataError(ValueError):
    """Bad input, in one sentence: the file or key, what was found, what was expected."""


class NoStream(DataError):
    """A stream that a source has not: of another kind, or of a column that isn't there."""


@dataclass
class Raw:
    """One sample as stored. inputs[stream]: image (C, H, W), vector (C,), text str or list[str]; None where missing.

    Of a stream with a time axis: image (C, T, H, W), vector (C, T), of any T >= 1; NaN where nothing was measured. rates[stream]:
    its steps in Hz, where the file tells.

    mask (H, W) bool, True on the specimen, or None. `full_scale` is the largest value the stored type can hold (65535,
    255; 1.0 for floats), of all streams or {stream: its own}: the `dtype_max` scaling policy divides by it.
    missing[stream] (C, H, W) or (H, W) bool, True where a value was never measured (nodata); a stream without any has no
    entry. NaN in a float image means the same.

    identities[stream]: a name of what the row holds there, which other rows that hold the same have too, so that it is finished
    once: equal names, equal values. Without one nobody knows.

    measured[stream], of images once they are checked, see `nodata.mark`: (H, W) bool, with a time axis (T, H, W), which
    pixels were; None: all. seen[stream]: those of them inside the mask.
    """

    inputs: dict[str, Any]
    mask: np.ndarray | None = None
    full_scale: float | dict[str, float] = 1.0
    missing: dict[str, np.ndarray] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    identities: dict[str, Hashable] = field(default_factory=dict)
    measured: dict[str, np.ndarray | None] = field(default_factory=dict)
    seen: dict[str, np.ndarray | None] = field(default_factory=dict)

    def scale(self, stream: str) -> float:
        """The full scale of one stream."""
        return float(self.full_scale[stream] if isinstance(self.full_scale, dict) else self.full_scale)


@dataclass
class Rows:
    """Many rows of vector streams as stored: inputs[stream] (n, C), full_scale[stream] as in `Raw`. Nothing is missing."""

    inputs: dict[str, np.ndarray]
    full_scale: dict[str, float]


class Source(Protocol):
    """One stored data set.

    `bands`: what its cubes or vectors hold, in stored order, without the mask (for text-only or many-field sets, the
    bands of an image field). `samples`: one row a sample, a unique string column `id`, then one column for every label,
    group or bookkeeping fact (`path`, an official `split`, …); a missing label is None/NaN; `samples.attrs["complete"]`
    may name columns that must have none where they are learnt, see `require_complete`, `samples.attrs["classes"]` {column:
    its classes in order} whatever the rows hold, and `samples.attrs["overlapping"]`
    the column of blocks that share no pixel: rows of one block may, one without a block shares with two. Opening validates
    headers only. More attributes are read where there: `identity` (choices that change pixels) and `card`, whose `repr` the
    data's fingerprint takes in, and `notes`, list[str], what was inferred and a run should tell (a method `unread(streams,
    columns)` gives those of them that are about columns which a run does not read), and `together`, the column whose equal
    values mark rows that show one thing (captions of one image), and `items`, {field: column}, whose equal values mark rows
    that hold the same thing in streams of that field (the image itself), and `images`, columns of paths, and `stored_files`,
    all paths where a sample has several files, and `field_bands`, {field: its bands}, where fields have bands of their own,
    and `field_kinds`, {field: (kind of stream, whether it has a time axis)}, where a source knows them. A source made of
    others names them in `members`. So are the methods `to_size(resizes)`, told once what brings each stream to size, for one
    that decodes frames and may scale them at once (then `scaled_fields` names the fields of these frames), and
    `read_rows(index, streams) -> Rows | None`: what `read` would give of many rows (n,) of vectors, at once; None where they
    must be read one by one. And `expect(rows, streams)`, of a source that can begin with what it will be asked for next.
    """

    bands: tuple[Band, ...]
    samples: pd.DataFrame

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """Read only what `streams` ask for of sample `index` (a row of `samples`); raise `DataError` if it is bad."""
        ...


@dataclass(frozen=True)
class Card:
    """What the files of a data set don't say: its bands, the mask band and its threshold, what a pixel value means.

    nodata: the value of missing pixels, in stored units, of all bands or of each (None: it has none); None: what each file
    declares; `ignore`: what files declare is measured, too.
    """

    bands: tuple[Band, ...]
    mask_band: str | None = None
    mask_threshold: float = 0.0
    notes: dict[str, str] = field(default_factory=dict)
    nodata: float | tuple[float | None, ...] | Literal["ignore"] | None = None


def notes_of(source: object, streams: Sequence[Stream], columns: Collection[str]) -> list[str]:
    """What a source tells a run that reads these streams, and these columns of labels, groups and strata."""
    unread = getattr(source, "unread", None)
    left = {*unread(streams, columns)} if unread else ()
    return [note for note in getattr(source, "notes", []) if note not in left]


def content_columns(source: object) -> set[str]:
    """Columns of a source that hold what it shows, texts, paths of files and parts of them: no labels, groups or strata."""
    shown = {column for of in ("text_columns", "images") for column in getattr(source, of, ())}
    return shown | set((getattr(source, "items", None) or {}).values())


def need_number(dtype: np.dtype, where: str) -> None:
    """Refuse (`DataError`) all but integers and floats."""
    if dtype.kind not in "iuf":
        raise DataError(f"{where}: values of type {dtype}, expected integers or floats")


def full_scale(dtype: np.dtype) -> float:
    """The largest value of an integer type; 1 for floats."""
    return float(np.iinfo(dtype).max) if dtype.kind in "iu" else 1.0
