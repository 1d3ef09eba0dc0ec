"""Run each tracker in a thread, so that a slow, failing or hanging one never stops training."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from multimodal_lab.log.tracker import Tracker

START = 15.0  # seconds to wait for a tracker to be there: what is wrong with it is then told before training
FINISH = 60.0  # seconds it may take at the end, in which an online run is sent


class Background:
    """A tracker behind a queue. An error is reported once; `metrics.jsonl` has every row whatever happens here."""

    def __init__(self, name: str, make: Callable[[], Tracker], start: float = START, finish: float = FINISH) -> None:
        self.name, self.limit = name, finish
        self.error: Exception | None = None
        self._waited = False
        self._made = threading.Event()
        self._calls: queue.SimpleQueue[Callable[[Tracker], None] | None] = queue.SimpleQueue()
        # a daemon: a tracker that hangs must not keep the process from ending
        self._thread = threading.Thread(target=self._run, args=(make,), name=f"tracker {name}", daemon=True)
        self._thread.start()
        answered = self._made.wait(start)
        self._waited = True
        if not answered:
            print(
                f"{name} has not answered for {start:g} s; training begins, and its rows follow once it answers",
                flush=True,
            )
        elif self.error is not None:
            raise self.error

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One row, sent when the tracker is ready for it."""
        row = dict(values)
        self._calls.put(lambda tracker: tracker.scalars(step, row))

    def finish(self, summary: Mapping[str, Any], figures: Iterable[Path]) -> None:
        """Send the final scores and figures; waits until all is sent, up to a time limit."""
        paths = list(figures)
        self._calls.put(lambda tracker: tracker.finish(summary, paths))
        self._calls.put(None)
        self._thread.join(self.limit)
        if self._thread.is_alive():
            # less the call that finishes and the None behind it, which are no rows
            left = max(0, self._calls.qsize() - 2)
            print(
                f"{self.name} did not finish in {self.limit:g} s ({left} rows unsent); all are in metrics.jsonl",
                flush=True,
            )

    def _run(self, make: Callable[[], Tracker]) -> None:
        try:
            tracker = make()
            self._made.set()
            while (call := self._calls.get()) is not None:
                call(tracker)
        except Exception as error:
            self.error = error
            if self._waited:
                print(f"{self.name} failed ({error}); training continues, all rows are in metrics.jsonl", flush=True)
            self._made.set()
