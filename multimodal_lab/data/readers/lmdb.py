"""Reader of LMDBs: images, safetensors or raw arrays by key, and labels from a table."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

from multimodal_lab.bounds import Count
from multimodal_lab.data.readers.folder import existing, given, readable
from multimodal_lab.data.readers.images import Colour, bands_of, decode
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.lmdb_file import LmdbFile
from multimodal_lab.data.readers.tables import doubts, read_table, require_column
from multimodal_lab.data.source import Card, DataError, Raw, full_scale, need_number
from multimodal_lab.data.streams.bands import indices, need_kind
from multimodal_lab.data.streams.labels import COMPLETE
from multimodal_lab.text import expected_one_of, some
from multimodal_lab.types import Band, Stream


class Lmdb:
    """The values of an LMDB below `root`, opened lazily in each process.

    path: its folder, or its file. values: `image` (encoded as PNG, JPEG, …), `safetensors` (a tensor (H, W) for each band, by
    name, or one tensor of all the card's bands), or `raw` (numbers of `dtype` in `shape`, (C, H, W) or (C,)). key: how a
    sample's key is written, with columns of the table in braces, `{id}_S2`; or {field: pattern}, where a sample has several
    values, which streams choose among by `field`. table: CSV, Parquet, …, a row a sample, `id` its column of names; None: every
    key is a sample. card: the bands of arrays; None: those that the tensors of the first sample name. labels: columns that
    must be there. missing: whether a key or a label may be missing. Opening looks up keys and reads one value.
    """

    requires: ClassVar[dict[str, str]] = {"lmdb": "lmdb"}

    def __init__(
        self,
        root: str,
        *,
        path: str = ".",
        values: Literal["image", "safetensors", "raw"] = "image",
        key: str | dict[str, str] = "{id}",
        table: str | None = None,
        id: str = "id",
        labels: list[str] | None = None,
        missing: Literal["refuse", "keep"] = "refuse",
        na_values: list[str] | None = None,
        dtype: str | None = None,
        shape: list[Count] | None = None,
        card: Card | None = None,
        colour: Colour = "rgb",
        alpha: Literal["refuse", "drop", "white", "black"] = "refuse",
        limits: Limits | None = None,
    ) -> None:
        self.root, self.values, self.colour = existing(root), values, colour
        self.alpha: Literal["refuse", "drop", "white", "black"] = alpha
        self.limits, self.card, self.dtype, self.shape = limits or Limits(), card, dtype, shape
        self.file = LmdbFile(self.root / path, path if path != "." else self.root.name)
        if values == "raw" and (card is None or dtype is None or shape is None):
            raise DataError("data.source.values=raw: needs dtype, shape and card, which raw numbers do not tell")
        self.keys = key if isinstance(key, dict) else {"": key}
        self.identity = (path, values, self.keys, dtype, shape, colour, alpha)
        rows, self.notes = self._rows(table, id, na_values or [])
        self.limits.count(self.file.name, len(rows))
        for c in labels or []:
            require_column(rows, c, table or self.file.name, "data.source.labels")
        self._names = {field: self._keys(rows, pattern) for field, pattern in self.keys.items()}
        self._look_up(rows, missing)
        self.bands, self.field_bands = self._bands()
        own = [c for c in rows.columns if c not in ("id", "path")]
        self.notes += doubts(rows, own, table or self.file.name)
        if missing == "refuse":
            rows.attrs[COMPLETE] = dict.fromkeys(own, "data.source.missing")
        self.samples: pd.DataFrame = rows

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """Images (C, H, W) or vectors (C,); None where the sample has no value."""
        inputs: dict[str, Any] = {}
        scales: dict[str, float] = {}
        raw: dict[str, bytes | None] = {}
        need_kind(streams, ["image", "vector"], self.file.name)
        for stream in streams:
            field = self._field(stream)
            if field not in raw:
                raw[field] = self.file.get(self._names[field][index])
            value = raw[field]
            inputs[stream.name] = None
            if value is not None:
                x = self._cut(value, self._names[field][index].decode(), stream, field)
                inputs[stream.name], scales[stream.name] = x, full_scale(x.dtype)
        return Raw(inputs, None, scales)

    def _rows(self, table: str | None, name: str, na_values: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
        """A row a sample with `id` and `path`."""
        place = (
            self.file.data.relative_to(self.root).as_posix()
            if self.file.data.is_relative_to(self.root)
            else self.file.name
        )
        if table is None:
            if list(self.keys.values()) != ["{id}"]:
                raise DataError(
                    f"data.source.table: null, so that every key is a sample, but data.source.key is {self.keys}"
                )
            return pd.DataFrame(
                {"id": [k.decode("utf-8", "replace") for k in self.file.every_key()], "path": place}
            ), []
        found, notes = read_table(given(self.root, table, "data.source.table"), name, self.limits, na_values)
        require_column(found, name, table, "data.source.id")
        ids = found[name]
        if ids.isna().any() or ids.duplicated().any():
            said = (
                f"{ids[ids.duplicated()].iloc[0]!r} stands in more than one row"
                if not ids.isna().any()
                else "a row has none"
            )
            raise DataError(f"{table}: {name}: {said}; expected a name of its own for each sample")
        rest = found.drop(columns=[c for c in dict.fromkeys((name, "id", "path")) if c in found])
        own = {} if name == "id" else {name: ids.map(str)}
        return pd.DataFrame({"id": ids.map(str).astype(object), "path": place}).assign(**own).join(rest), notes

    def _keys(self, rows: pd.DataFrame, pattern: str) -> list[bytes]:
        """The key of each sample; "" where a column that it names is missing."""
        names = [name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None]
        for name in names:
            if name not in rows:
                near = expected_one_of(name, [str(c) for c in rows.columns])
                raise DataError(f"data.source.key: {pattern!r} names no column of the table; {near}")
        made = []
        for values in zip(*(rows[name].tolist() for name in names)) if names else [()] * len(rows):
            word = pattern
            for name, value in zip(names, values):
                word = word.replace(f"{{{name}}}", "" if pd.isna(value) else str(value))
            made.append(word.encode())
        return made

    def _look_up(self, rows: pd.DataFrame, missing: str) -> None:
        """Refuse, or tell of, keys that are not there."""
        for field, names in self._names.items():
            gone = [name.decode() for name, there in zip(names, self.file.have(names)) if not there]
            of = f" of {field}" if field else ""
            said = f"{self.file.name}: no value for {len(gone)} of {len(rows)} keys{of}: {some(gone)}"
            if len(gone) == len(rows):
                raise DataError(f"{said}; expected keys such as {self._example()!r} (data.source.key)")
            if gone and missing == "refuse":
                raise DataError(f"{said} (data.source.missing=keep allows gaps)")
            self.notes += [said] if gone else []

    def _example(self) -> str:
        return next((key.decode("utf-8", "replace") for key in self.file.every_key()), "none")

    def _bands(self) -> tuple[tuple[Band, ...], dict[str, tuple[Band, ...]]]:
        """All bands, and those of each field where there are several."""
        found: dict[str, tuple[Band, ...]] = {}
        for field, names in self._names.items():
            if self.values == "image" or self.card is not None:
                found[field] = bands_of(self.colour) if self.values == "image" else self.card.bands  # type: ignore[union-attr]
                continue
            key, value = next((k, v) for k in names if (v := self.file.get(k)) is not None)
            arrays = tensors(value, f"{self.file.name}: {key.decode()}")
            if any(x.ndim != 2 for x in arrays.values()):
                shapes = ", ".join(f"{name} {x.shape}" for name, x in arrays.items())
                raise DataError(
                    f"{self.file.name}: {key.decode()}: {shapes}; expected a tensor (H, W) a band, or name data.source.card"
                )
            found[field] = tuple(Band(name) for name in arrays)
        own = {} if list(found) == [""] else found
        return tuple(dict.fromkeys(b for bands in found.values() for b in bands)), own

    def _field(self, stream: Stream) -> str:
        if list(self.keys) == [""]:
            return ""
        field = stream.field or (stream.name if stream.name in self.keys else "")
        if field not in self.keys:
            near = expected_one_of(stream.field or stream.name, list(self.keys))
            raise DataError(f"modality.{stream.name}.field: {stream.field or 'none'}; {near}")
        return field

    def _cut(self, value: bytes, key: str, stream: Stream, field: str) -> np.ndarray:
        """The bands of a stream out of one value."""
        named = f"{self.file.name}: {key}"
        if self.values == "image":
            need_kind([stream], ["image"], self.file.name)
            return decode(value, named, self.colour, self.alpha, self.limits)[0][indices(stream, bands_of(self.colour))]
        x: np.ndarray | dict[str, np.ndarray] = (
            self._raw(value, named) if self.values == "raw" else tensors(value, named)
        )
        if isinstance(x, dict):
            if len(x) == 1 and self.card is not None:
                x = next(iter(x.values()))
            else:
                return _stacked(x, stream, named)
        assert self.card is not None
        if len(x) != len(self.card.bands):
            raise DataError(
                f"{named}: an array {x.shape}, expected {len(self.card.bands)} bands first, as the card has"
            )
        need_kind([stream], ["image"] if x.ndim == 3 else ["vector"], self.file.name)
        return x[indices(stream, self.card.bands)]

    def _raw(self, value: bytes, named: str) -> np.ndarray:
        with readable(named, "array"):
            kind = np.dtype(self.dtype)
            need_number(kind, named)
            wanted = int(np.prod(self.shape or [0])) * kind.itemsize
            if len(value) != wanted:
                raise DataError(f"{named}: {len(value):,} bytes, expected {wanted:,} of {kind} {self.shape}")
            return np.frombuffer(value, kind).reshape(self.shape or [0]).astype(kind.newbyteorder("="))


def tensors(value: bytes, named: str) -> dict[str, np.ndarray]:
    """The arrays of a value of safetensors, by name; `named` is the file and key."""
    from safetensors.numpy import load

    with readable(named, "safetensors value"):
        found: dict[str, np.ndarray] = load(value)
        return found


def _stacked(arrays: dict[str, np.ndarray], stream: Stream, named: str) -> np.ndarray:
    """Bands that are tensors of their own, in the order asked; those of several sizes are several streams."""
    for band in stream.bands:
        if band.name not in arrays:
            raise DataError(
                f"{named}: stream {stream.name}: no band {band.name!r}; {expected_one_of(band.name, list(arrays))}"
            )
    found = {band.name: arrays[band.name] for band in stream.bands}
    if len({(x.shape, x.dtype) for x in found.values()}) > 1:
        said = ", ".join(f"{name} {x.shape} {x.dtype}" for name, x in list(found.items())[:5])
        raise DataError(
            f"{named}: stream {stream.name} takes bands of several sizes or types ({said}); make a stream of each"
        )
    need_kind([stream], ["image"], named)
    return np.stack(list(found.values()))
