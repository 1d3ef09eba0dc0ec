"""The logger of a run: `metrics.jsonl`, the terminal, and the configured trackers."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from multimodal_lab.files import as_json
from multimodal_lab.log.tracker import Tracker


class Log:
    """One run's log: rows to `metrics.jsonl` and the trackers, progress with ETA to the terminal (plain lines elsewhere)."""

    def __init__(self, folder: Path, trackers: Iterable[Tracker] = (), main: bool = True) -> None:
        self.path = folder / "metrics.jsonl"
        self.trackers = list(trackers) if main else []
        self.main = main
        self.console = Console(stderr=False, soft_wrap=True, quiet=not main)
        self._bar: Progress | None = None
        self._said = 0.0

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
        self.console.print(text, highlight=False, markup=False)

    def start(self, step: int, total: int) -> None:
        """Begin the progress display."""
        if self.main and sys.stdout.isatty():
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=self.console, transient=True)
            self._bar.start()
            self._bar.add_task("training", total=total, completed=step)
        self._began, self._first, self._total = time.monotonic(), step, total

    def progress(self, step: int, text: str) -> None:
        """Advance; without a terminal a plain line with the ETA, every five seconds at most and at the end."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=step, description=text)
            return
        now = time.monotonic()
        if now - self._said >= 5 or step == self._total:
            self._said = now
            eta = (now - self._began) / max(1, step - self._first) * (self._total - step)
            self.say(f"step {step}/{self._total} · {text} · ETA {eta:.0f} s")

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
