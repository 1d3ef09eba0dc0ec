"""Shuffled-modality negative control: re-pair one stream among samples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd

from multimodal_lab.bounds import Natural
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.hashing import keys
from multimodal_lab.data.split.split import SplitRows
from multimodal_lab.hashing import stable_id
from multimodal_lab.types import Stream


@dataclass(frozen=True)
class Shuffle:
    """Rows of `stream`, or of several, come from another sample of the same split, their presence with them; labels stay.

    within: a column of the samples, such as a label: the other sample has the same value there, so that the stream still
    tells that label but nothing more of this sample. Several streams are re-paired each by itself, so that no two of them belong
    together. seed: of the re-pairing. bands: those that move, by name or pattern such as
    `UV*`, where one stream holds both modalities; None: all.
    """

    stream: str | list[str]
    within: str | None = None
    seed: Natural = 0
    bands: list[str] | None = None

    @property
    def streams(self) -> list[str]:
        """All that are re-paired."""
        return [self.stream] if isinstance(self.stream, str) else list(self.stream)

    def sources(self, samples: pd.DataFrame, ids: np.ndarray, splits: SplitRows, stream: str = "") -> np.ndarray:
        """(N,) the row that each row takes `stream` from: a permutation of each split, of ids, seed and the stream's place alone.

        No row keeps its own but one that is alone in its split and class; rows of no split keep theirs.
        `DataError` where there is no column `within`.
        """
        classes = np.zeros(len(ids), dtype=np.int64)
        if self.within is not None:
            if self.within not in samples:
                there = ", ".join(map(str, samples.columns))
                raise DataError(f"data.shuffle.within: no column {self.within!r}; there are {there}")
            classes = pd.factorize(samples[self.within])[0].astype(np.int64)
        found = np.arange(len(ids))
        mark = stable_id("shuffle") + (self.streams.index(stream) if stream in self.streams else 0)
        for rows in splits.values():
            for value in np.unique(classes[rows]):
                members = rows[classes[rows] == value]
                circle = members[np.argsort(keys(ids[members], self.seed, mark), kind="stable")]
                found[circle] = np.roll(circle, 1)  # a random circle: uniform, and nobody is next to itself
        return found

    def places(self, stream: Stream) -> list[int] | None:
        """Where the bands that move stand in the stream; None for all. `DataError` where one is absent, or none stays."""
        if self.bands is None:
            return None
        names = [band.name for band in stream.bands]
        for pattern in self.bands:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise DataError(
                    f"data.shuffle.bands: no band matches {pattern!r}; {stream.name} has {', '.join(names)}"
                )
        return [i for i, name in enumerate(names) if any(fnmatchcase(name, pattern) for pattern in self.bands)]

    def require(self, streams: Iterable[str]) -> None:
        """`DataError` unless all that are re-paired are among `streams`."""
        names = list(streams)
        for stream in self.streams:
            if stream not in names:
                raise DataError(f"data.shuffle.stream: no stream {stream!r}; the modality has {', '.join(names)}")

    def note(self, sources: np.ndarray, stream: str) -> str:
        """The sentence that a run prints of one stream."""
        among = "of the same split" + (f" and {self.within}" if self.within else "")
        moved = int((sources != np.arange(len(sources))).sum())
        what = f"{stream} ({', '.join(self.bands)})" if self.bands else stream
        return (
            f"shuffled: {what} of {moved} of {len(sources)} samples is another sample's, {among} "
            f"(seed {self.seed}): a negative control"
        )
