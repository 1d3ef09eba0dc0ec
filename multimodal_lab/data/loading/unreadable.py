"""Find unreadable samples before training and apply `on_error`, alike on every rank."""

from __future__ import annotations

import math
import multiprocessing
import os
import re
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from multimodal_lab.data.loading.orphan import end_with
from multimodal_lab.data.readers.folder import counted
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import SplitRows
from multimodal_lab.data.streams.sample import SampleError, SampleReader
from multimodal_lab.files import read_failure
from multimodal_lab.progress import Bar

TIMEOUT = 300.0  # seconds that one sample may take
LOOK = 10.0  # seconds
MOST = 4000  # letters of an error that are looked at
OnError = Literal["raise", "skip", "substitute"]


@dataclass(frozen=True)
class Bad:
    """The unreadable rows, {row: reason}, and for each the row that replaces it in training, if any.

    A batch keeps its size, so that ranks stay in step: a bad row is one with every stream missing and no label, and in
    training with `substitute` it is the next readable row of its split. Evaluation never substitutes: it meets every
    sample exactly once, a bad one as missing.
    """

    why: dict[int, str] = field(default_factory=dict)
    instead: dict[int, int] = field(default_factory=dict)
    passing: bool = False  # the disk or the network failed some of them: they may be read the next time

    def good(self, rows: np.ndarray) -> np.ndarray:
        """The readable rows."""
        return rows[~np.isin(rows, list(self.why))] if self.why else rows

    def training(self, rows: np.ndarray) -> np.ndarray:
        """The rows to read for a batch to train on."""
        return np.array([self.instead.get(int(r), int(r)) for r in rows], dtype=rows.dtype) if self.instead else rows

    def blank(self, values: np.ndarray) -> np.ndarray:
        """A label's values (see `Target`), missing where the row is bad."""
        if not self.why:
            return values
        made = values.copy()
        made[list(self.why)] = np.nan if values.ndim == 1 and values.dtype.kind == "f" else -1
        return made

    def reasons(self) -> dict[str, int]:
        """How many rows were bad for each reason, names and numbers left out, the most frequent first."""
        return dict(Counter(_reason(text) for text in self.why.values()).most_common())

    def notes(self, on_error: str, total: int) -> list[str]:
        """What a run reports of it."""
        if not self.why:
            return []
        counts = "; ".join(f"{n} x {reason}" for reason, n in self.reasons().items())
        first = next(iter(self.why.values()))
        share = f"{len(self.why)} of {total} samples can't be read ({len(self.why) / total:.2%})"
        return [f"data.on_error={on_error}: {share}: {counts}; the first: {first}"]


def find(samples: SampleReader, on_error: OnError, most: float) -> Bad:
    """Read every sample once, in another process, so that a decoder that crashes or hangs makes one bad sample.

    Raises `DataError` if more than the share `most` of them is bad.
    """
    if on_error == "raise":
        return Bad()
    total = len(samples.table)
    why: dict[int, str] = {}
    passing: set[int] = set()
    row = 0
    with Bar("reading every sample", total) as bar:
        while row < total:
            row = _scan(samples, row, why, passing, bar)
    found = Bad(why, passing=bool(passing))
    if len(why) > max(most * total, 1):  # one bad file says nothing of a set, however small it is
        said = found.notes(on_error, total)[0]
        enough = math.ceil(1000 * len(why) / total) / 1000
        raise DataError(f"{said}; more than data.max_bad={most:g} of them allows (nearest: data.max_bad={enough:g})")
    return found


def with_count(samples: SampleReader, error: SampleError) -> DataError:
    """The error that stops a run, with how many other samples can't be read, of those that are read in a few seconds."""
    seen, bad, end = 0, 0, time.monotonic() + LOOK
    for row in range(len(samples.table)):
        if time.monotonic() > end:
            break
        try:
            samples.require(row)
        except DataError:
            bad += 1
        samples.drop(row)
        seen += 1
    if not 0 < bad < seen:  # what is wrong with all of them is no matter of single files
        return error
    return DataError(f"{error} ({counted(bad, seen, 'samples')})")


def _scan(samples: SampleReader, first: int, why: dict[int, str], passing: set[int], bar: Bar) -> int:
    """Read samples from `first` on in one process, to the end or till it dies; returns the row to go on with."""
    methods = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
    end, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_read, args=(samples, first, theirs, os.getpid()), daemon=True)
    process.start()
    theirs.close()
    row = first
    try:
        while row < len(samples.table):
            if not end.poll(TIMEOUT):
                why[row] = f"{samples.called(row)}: reading it hangs: nothing came in {TIMEOUT:g} s"
                return row + 1
            try:
                said, passes, layouts = end.recv()
            except (EOFError, OSError):
                process.join(5)
                code = process.exitcode
                cause = f"killed by {signal.Signals(-code).name}" if code and code < 0 else f"exited with code {code}"
                why[row] = f"{samples.called(row)}: reading it ends the process: {cause}"
                return row + 1
            if said is not None:
                why[row] = said
            if passes:
                passing.add(row)
            for name, layout in layouts.items():  # what the samples so far are like, for those that come after
                samples.fitted[name].layout = samples.fitted[name].layout or layout
            row += 1
            bar.update(row)
        return row
    finally:
        process.kill()
        process.join()


def _read(samples: SampleReader, first: int, end: Any, parent: int) -> None:
    end_with(parent)
    for row in range(first, len(samples.table)):
        said, passes = None, False
        try:
            samples.require(row)
        except DataError as error:
            said, passes = str(error), read_failure(error) is not None
        samples.drop(row)
        end.send((said, passes, {name: fitted.layout for name, fitted in samples.fitted.items()}))


def stand_ins(found: Bad, splits: SplitRows) -> Bad:
    """The same with the next readable row of its split, in the order of the table, for every bad row."""
    instead: dict[int, int] = {}
    for name, rows in splits.items():
        good = found.good(rows)
        if not len(good):
            raise DataError(f"data.on_error: no sample of {name} can be read")
        for row in set(rows.tolist()) & found.why.keys():
            instead[row] = int(good[np.searchsorted(good, row) % len(good)])
    return Bad(found.why, instead, found.passing)


def _reason(text: str) -> str:
    """An error without the names and numbers of its sample."""
    plain = re.sub(r"sample '[^']*'( \([^)]*\))?: ", "", text[:MOST])  # it may quote any length of a stranger's file
    plain = re.sub(r"^\S+\.\w+: ", "", plain)
    plain = re.sub(r"[0-9a-f]{32}|'[^']*'|\S*/\S+", "…", plain)
    return re.sub(r"\d[\d,.]*", "#", plain)[:80]
