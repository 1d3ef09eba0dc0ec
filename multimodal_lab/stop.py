"""Stopping when asked, at a step's end."""

from __future__ import annotations

import contextlib
import signal
from typing import Any

from multimodal_lab import dist


class Stop:
    """Ctrl-C, SIGTERM and SIGUSR1 set a flag that the loop polls; every rank sees it at the same step."""

    def __init__(self) -> None:
        self.name = ""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        with contextlib.suppress(ValueError):  # not the main thread: signals stay as they are
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
                self._before[number] = signal.signal(number, self._flag)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _flag(self, number: int, _: object) -> None:
        if self.name and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.name = signal.Signals(number).name

    def asked(self) -> bool:
        """Whether any rank was asked to stop."""
        if dist.any_rank(bool(self.name)):
            self.name = self.name or "a signal to another rank"
            return True
        return False
