"""Progress of a long pass with the time that is left: a bar on a terminal, elsewhere a line every few seconds.

Nothing is shown until a command asks for it by `show`: a library and every rank but the first stay silent.
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, Self, TypeVar

T = TypeVar("T")
EVERY = 5.0  # seconds between lines where there is no terminal
_shown = False
_busy = False  # a pass within another, such as a validation, has no bar of its own
_out: Any = None  # where passes are shown; None: standard output, whichever that is then


def show(wanted: bool) -> None:
    """Show passes from now on, or none."""
    global _shown, _busy
    _shown, _busy = wanted, False


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Of what is printed within show the passes alone."""
    global _out
    before, _out = _out, sys.stdout
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        _out = before


def track(items: Iterable[T], doing: str, total: int) -> Iterator[T]:
    """The items of a pass of `total`, shown as `doing` while they are worked on."""
    with Bar(doing, total) as bar:
        for done, item in enumerate(items, 1):
            yield item
            bar.update(done)


class Bar:
    """One pass of `total` rounds, of which `first` are done. at_once: the first round is told without a terminal, too."""

    def __init__(self, doing: str, total: int, first: int = 0, console: Any = None, at_once: bool = False) -> None:
        global _busy
        self.doing, self.total, self.first, self.console, self.at_once = doing, total, first, console, at_once
        self.active = _shown and not _busy
        self._began = time.monotonic()
        self._said = 0.0 if at_once else self._began
        self._warm = self._began, first  # when the rounds that tell the time that is left began, and after how many
        self._bar: Any = self._started() if self.active and (_out or sys.stdout).isatty() else None
        _busy = _busy or self.active

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def update(self, done: int, text: str = "") -> None:
        """`done` rounds are done; text: what stands before the bar, or in the line."""
        if not self.active:
            return
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, description=text or self.doing)
            return
        now = time.monotonic()
        if self._warm[1] == self.first < done and not self.at_once:
            self._warm = now, done  # the first round starts worker processes, and is no measure of the others
        last = done == self.total and self._said > self._began
        if now - self._said >= EVERY or last:
            self._said = now
            gone = done - self._warm[1]
            middle = f" · {text}" if text else ""
            left = f" · ETA {(now - self._warm[0]) / gone * (self.total - done):.0f} s" if gone > 0 else ""
            print(f"{self.doing} {done}/{self.total}{middle}{left}", file=_out, flush=True)

    def stop(self) -> None:
        """End the display; asked again, nothing."""
        global _busy
        if self.active:
            _busy = self.active = False
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _started(self) -> Any:
        from rich.console import Console
        from rich.progress import (  # half of the time that a check of a config takes
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        # rich shows what is printed meanwhile above the bar
        console = self.console if _out is None else Console(file=_out)
        bar = Progress(*columns, console=console, transient=True, redirect_stdout=_out is None)
        bar.start()
        bar.add_task(self.doing, total=self.total, completed=self.first)
        return bar
