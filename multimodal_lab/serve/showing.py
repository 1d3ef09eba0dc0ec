"""What is shown of a sample beside its id: pictures, words, sounds and videos, of the data themselves or of thumbnails."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from multimodal_lab.serve import pictures, players

KEPT = 2_000  # pictures, and texts
PLAYED = 20  # sounds and videos that are kept
TEXTS = 5  # of a sample


class Showing(Protocol):
    """Samples by their number. streams: those of which there are pictures; played: that can be played. Threads may share it."""

    streams: list[str]
    played: list[str]

    def has(self, number: int) -> bool:
        """Whether there is a picture of a sample, in the streams that it has; nothing is read."""
        ...

    def picture(self, number: int, stream: str) -> bytes | None:
        """A JPEG."""
        ...

    def media(self, number: int, stream: str) -> tuple[bytes, str] | None:
        """What a browser plays, and its content type."""
        ...

    def texts(self, number: int) -> Mapping[str, list[str]]:
        """{stream: the first texts of a sample}."""
        ...


class Thumbnails:
    """The pictures that a run keeps of some of its samples: rows (T,), images[stream] (T, h, w, 3) uint8."""

    def __init__(self, rows: np.ndarray, images: Mapping[str, np.ndarray]) -> None:
        self._places = {int(row): i for i, row in enumerate(rows)}
        self._images = images
        self.streams = [*images]
        self.played: list[str] = []

    def has(self, number: int) -> bool:
        """Whether it is among the first."""
        return number in self._places

    def picture(self, number: int, stream: str) -> bytes | None:
        """A JPEG of some 48 pixels."""
        return pictures.jpeg(self._images[stream][self._places[number]]) if self.has(number) else None

    def media(self, number: int, stream: str) -> tuple[bytes, str] | None:
        """None are kept."""
        return None

    def texts(self, number: int) -> Mapping[str, list[str]]:
        """None are kept."""
        return {}


class Stored:
    """Prepared data, read when they are asked for. ids: the samples in the order of their numbers."""

    def __init__(self, data: Any, ids: Sequence[str]) -> None:
        rows = {str(name): row for row, name in enumerate(data.samples["id"])}
        self._data, self._rows = data, [rows.get(name) for name in ids]
        self._reader = data.reader
        self._worded = [name for name, kind in data.reader.kinds.items() if kind.drawn_each_epoch]
        self._lock = threading.Lock()  # a reader may keep one file open
        self.streams, self.played = pictures.streams(data), players.streams(data)
        self.picture = lru_cache(KEPT)(self._picture)
        self.media = lru_cache(PLAYED)(self._media)
        self.texts = lru_cache(KEPT)(self._texts)

    def has(self, number: int) -> bool:
        """Whether the data still hold it."""
        return self._rows[number] is not None

    def _picture(self, number: int, stream: str) -> bytes | None:
        row = self._rows[number]
        if row is None:
            return None
        with self._lock:
            found = pictures.of_sample(self._data, row, stream)
        return None if found is None else pictures.jpeg(found)

    def _media(self, number: int, stream: str) -> tuple[bytes, str] | None:
        row = self._rows[number]
        if row is None:
            return None
        with self._lock:
            return players.of_sample(self._data, row, stream)

    def _texts(self, number: int) -> Mapping[str, list[str]]:
        row, reader = self._rows[number], self._reader
        if row is None or not self._worded:
            return {}
        with self._lock:
            raw = reader.source.read(row, [reader.plans[name].stored for name in self._worded])
        found = {name: reader.kinds[name].several(reader, raw, name)[:TEXTS] for name in self._worded}
        return {name: texts for name, texts in found.items() if texts}
