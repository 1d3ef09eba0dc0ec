"""The logger of a run: `metrics.jsonl`, the terminal, and the configured trackers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from multimodal_lab.files import as_json
from multimodal_lab.log.tracker import Tracker
from multimodal_lab.progress import Bar
from multimodal_lab.text import printable


class Log:
    """One run's log: rows to `metrics.jsonl` and the trackers, progress with ETA to the terminal (plain lines elsewhere)."""

    def __init__(self, folder: Path, trackers: Iterable[Tracker] = (), main: bool = True) -> None:
        self.path = folder / "metrics.jsonl"
        self.trackers = list(trackers) if main else []
        self.main = main
        self.console = Console(stderr=False, soft_wrap=True, quiet=not main)
        self._bar: Bar | None = None

    def position(self) -> int:
        """Bytes of `metrics.jsonl`: what a checkpoint must remember."""
        return self.path.stat().st_size if self.main and self.path.is_file() else 0

    def rewind(self, position: int) -> None:
        """Cut `metrics.jsonl` back to `position`, so that a resumed run has each row once."""
        if self.main and self.path.is_file():
            if (found := self.path.stat().st_size) < position:
                self.say(f"{self.path}: {position - found} bytes of rows are missing from before the checkpoint")
            os.truncate(self.path, min(position, found))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One row of numbers at an optimizer step."""
        if not self.main:
            return
        with self.path.open("a") as f:
            f.write(as_json({"step": step, **values}) + "\n")
        for tracker in self.trackers:
            tracker.scalars(step, values)

    def say(self, text: str) -> None:
        """One line to the terminal."""
        self.console.print(printable(text), highlight=False, markup=False)

    def start(self, step: int, total: int) -> None:
        """Begin the progress display of the training, from the first step on."""
        self._bar = Bar("step", total, step, self.console, at_once=True) if self.main else None

    def progress(self, step: int, text: str) -> None:
        """Advance: the bar on a terminal; elsewhere a line at the first step, every five seconds at most and at the end."""
        if self._bar is not None:
            self._bar.update(step, text)

    def stop(self) -> None:
        """End the progress display."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def finish(self, summary: Mapping[str, Any], figures: Iterable[Path]) -> None:
        """Give the trackers the final scores and figures, and close them."""
        paths = list(figures)
        for tracker in self.trackers:
            tracker.finish(summary, paths)
