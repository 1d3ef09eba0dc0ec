"""Samples that are given by hand: a `Source` without a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from multimodal_lab.data.source import DataError, Raw, Source
from multimodal_lab.data.streams.resize import Resize
from multimodal_lab.types import Band, Stream


@dataclass(frozen=True)
class OfFile:
    """One sample of a reader: read when it is needed, as a run reads it. field: what the reader calls all streams; None: as they
    are called."""

    source: Source
    row: int
    name: str
    field: str | None = None

    def read(self, streams: Sequence[Stream]) -> Raw:
        """What the file holds of these streams; an error says the name that was given."""
        try:
            own = streams if self.field is None else [replace(s, field=self.field) for s in streams]
            return self.source.read(self.row, own)
        except DataError as error:
            raise DataError(str(error).replace(str(self.source.samples.path.iloc[self.row]), self.name)) from error


class Given:
    """Rows of values: an array (C, …), a text or several, an `OfFile`, or None where a stream is missing.

    values: {stream: N of them}; a stream without an entry is missing in every row. masks: (H, W) bool or None, N of them.
    field_bands: {stream: the bands of its arrays, in their order}. scales: {stream: the largest value of its stored type}.
    fingerprint: of the files behind them, where that is known.
    """

    bands: tuple[Band, ...] = ()

    def __init__(
        self,
        ids: Sequence[str],
        values: Mapping[str, Sequence[Any]],
        *,
        masks: Sequence[np.ndarray | None] | None = None,
        field_bands: Mapping[str, tuple[Band, ...]],
        scales: Mapping[str, float],
    ) -> None:
        self.samples = pd.DataFrame({"id": list(ids)})
        self.values, self.masks, self.field_bands, self.scales = values, masks, field_bands, scales
        self.fingerprint: str | None = None

    def to_size(self, resizes: Mapping[str, Resize]) -> None:
        """Tell the sources of files what brings each stream to size, as a run tells its own."""
        sources = {id(v.source): v.source for own in self.values.values() for v in own if isinstance(v, OfFile)}
        for source in sources.values():
            if (told := getattr(source, "to_size", None)) is not None:
                told(resizes)

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """The row as it was given; all that one file holds is read at once."""
        found = Raw({}, None if self.masks is None else self.masks[index], dict(self.scales))
        files: dict[OfFile, list[Stream]] = {}
        for stream in streams:
            value = self.values[stream.name][index] if stream.name in self.values else None
            if isinstance(value, OfFile):
                files.setdefault(value, []).append(stream)
            else:
                found.inputs[stream.name] = value
        for file, own in files.items():
            raw = file.read(own)
            found.inputs |= raw.inputs
            found.missing |= raw.missing
            found.rates |= raw.rates
            found.mask = raw.mask if found.mask is None else found.mask
            assert isinstance(found.full_scale, dict)
            found.full_scale |= {s.name: raw.scale(s.name) for s in own}
        return found
