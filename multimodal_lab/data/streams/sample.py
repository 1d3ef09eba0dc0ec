"""Read one sample and preprocess it: check, scale, mask, resize."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multimodal_lab.data import kinds
from multimodal_lab.data.source import DataError, Raw, Source
from multimodal_lab.data.streams.plan import StreamPlan, StreamStatistics
from multimodal_lab.data.streams.resize import Resize
from multimodal_lab.data.streams.scaling import Scaling, inside_mask


@dataclass
class Sample:
    """inputs[stream]: as its kind finishes it, None where missing; texts[stream], to draw from; mask (S, S) bool or None."""

    inputs: dict[str, np.ndarray | None]
    texts: dict[str, list[str]]
    mask: np.ndarray | None


class SampleReader:
    """Reads samples of one source for a set of plans; every error names the sample and its path."""

    def __init__(
        self, source: Source, plans: dict[str, StreamPlan], scaling: Scaling, resize: Resize, zero: bool, cache: bool
    ) -> None:
        self.source, self.plans, self.scaling, self.resize, self.zero = source, plans, scaling, resize, zero
        self.kinds = {name: kinds.of(p.stored) for name, p in plans.items()}
        self.table: pd.DataFrame = source.samples
        self.names = [str(i) for i in self.table["id"]]
        self.paths = list(self.table["path"]) if "path" in self.table else []
        self.fitted = {name: StreamStatistics() for name in plans}
        self.tokens: dict[str, Any] = {}
        self.kept: dict[int, Raw] = {}
        self.last: dict[int, tuple[int, Raw]] = {}  # of each thread: all streams of one sample are cut from one reading
        self.cache = cache
        self.watch: Callable[[int], None] | None = None

    def called(self, row: int) -> str:
        """How messages name a sample."""
        path = self.paths[row] if self.paths else None
        return f"sample {self.names[row]!r}" + (f" ({path})" if isinstance(path, str) else "")

    def raw(self, row: int) -> Raw:
        """The stored arrays, checked: shape, type, finite values, a mask that isn't empty. Threads may share this."""
        thread = threading.get_ident()
        at, raw = self.last.get(thread) or (row, self.kept.get(row))
        if at == row and raw is not None:
            return raw
        if self.watch is not None:
            self.watch(row)
        try:
            raw = self.source.read(row, [p.stored for p in self.plans.values()])
        except DataError as error:
            raise self._named(row, error) from error
        except Exception as error:  # a decoder may raise anything: the sample must be named all the same
            raise DataError(f"{self.called(row)}: can't be read: {type(error).__name__}: {error}") from error
        self._check(row, raw)
        if self.cache:
            self.kept[row] = raw
        else:
            self.last[thread] = row, raw
        return raw

    def require(self, row: int) -> None:
        """Raise what reading and resizing one sample would raise."""
        raw = self.raw(row)
        if raw.mask is not None and any(not kind.drawn_each_epoch for kind in self.kinds.values()):
            self.small(row, raw.mask)
        for name, kind in self.kinds.items():
            if (x := raw.inputs[name]) is not None:
                with self.naming(row):
                    kind.require(self, x)

    def scaled(self, row: int, name: str) -> tuple[np.ndarray, np.ndarray | None] | None:
        """Stream `name` of one sample as float32 in stored shape, and its mask; None where it is missing."""
        raw = self.raw(row)
        x = raw.inputs[name]
        if x is None:
            return None
        mask = raw.mask if self.kinds[name].spatial else None
        return self.scaling.apply(x, mask, raw.scale(name), self.fitted[name].scaling), mask

    def sample(self, row: int) -> Sample:
        """All streams of one sample."""
        drawn = [name for name, kind in self.kinds.items() if kind.drawn_each_epoch]
        inputs = {name: self.finished(row, name)[0] for name in self.plans if name not in drawn}
        texts = {name: self.kinds[name].several(self, row, name) for name in drawn}
        mask = self.raw(row).mask if inputs else None
        return Sample(inputs, texts, None if mask is None else self.small(row, mask))

    def drop(self, row: int) -> None:
        """Drop the stored arrays of one sample."""
        self.kept.pop(row, None)

    def finished(self, row: int, name: str) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Stream `name` as network input before normalisation, and its mask; (None, None) if it is missing."""
        return self.kinds[name].finish(self, row, name)

    def pixels(self, rows: np.ndarray, name: str, scaled: bool) -> Iterator[np.ndarray]:
        """(C, n) values inside the mask of every row that has stream `name`, as stored or scaled."""
        for row in rows:
            raw = self.raw(int(row))
            found = self.scaled(int(row), name) if scaled else (raw.inputs[name], raw.mask)
            if found is not None and found[0] is not None:
                yield inside_mask(*found)

    def _named(self, row: int, error: DataError) -> DataError:
        known = self.names[row] in str(error)
        return DataError(str(error) if known else f"{self.called(row)}: {error}")

    @contextlib.contextmanager
    def naming(self, row: int) -> Iterator[None]:
        """A `DataError` from inside names the sample."""
        try:
            yield
        except DataError as error:
            raise self._named(row, error) from error

    def small(self, row: int, mask: np.ndarray) -> np.ndarray:
        """A sample's mask at the size that networks see; one of which nothing is left is a `DataError`."""
        with self.naming(row):
            small = self.resize.mask(mask)
        if not small.any():
            raise DataError(
                f"{self.called(row)}: nothing is left of its mask ({mask.sum()} pixels) at data.size {self.resize.size}"
            )
        return small

    def _check(self, row: int, raw: Raw) -> None:
        for name in self.plans:
            if name not in raw.inputs:
                raise DataError(f"{self.called(row)}: the reader gave no stream {name!r}")
            if (x := raw.inputs[name]) is None:
                continue
            try:
                self.kinds[name].check(self, name, x, raw)
            except DataError as error:
                raise DataError(f"{self.called(row)}: {error}") from error
