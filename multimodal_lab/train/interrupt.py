"""Signal handling (SIGINT, SIGTERM): stop at the end of a step, or at once where that is safe."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from typing import Any, TypeVar

from multimodal_lab.device import distributed

T = TypeVar("T")
PASSED_ON = signal.SIGUSR2  # at which submitit queues the job again
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, PASSED_ON)
AGAIN = 2.0  # seconds after which a second Ctrl-C is one more wish of the user, not the launcher's echo of the first


class Interrupted(Exception):
    """A signal asked for the end; all is saved."""


class _Cut(BaseException):
    """A pass that may be cut short ends here; nothing may catch it on the way."""


class Stop:
    """Ctrl-C, SIGTERM, SIGUSR1 and SIGUSR2 set a flag that the loop polls; every rank sees it at the same step."""

    def __init__(self) -> None:
        self.name = ""
        self._since = 0.0
        self._may_cut = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        with contextlib.suppress(ValueError):  # not the main thread: signals stay as they are
            for number in SIGNALS:
                self._before[number] = signal.signal(number, self._flag)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.name == PASSED_ON.name and callable(self._before.get(PASSED_ON)):
            signal.raise_signal(PASSED_ON)  # whoever started this run waits for it, and all is saved

    def _flag(self, number: int, _: object) -> None:
        # the user insists: end at once, without a save
        if self.name and number == signal.SIGINT and time.monotonic() - self._since > AGAIN:
            raise KeyboardInterrupt
        self.name, self._since = self.name or signal.Signals(number).name, self._since or time.monotonic()
        if self._may_cut:
            self._may_cut = False
            raise _Cut

    def unless_asked(self, work: Callable[[], T], otherwise: T) -> T:
        """`work()`, which must change nothing: a signal ends it at once, wherever it is, and gives `otherwise`."""
        try:
            # set before the name is looked at: a signal between the two lines would else wait for the whole pass
            self._may_cut = True
            return otherwise if self.name else work()
        except _Cut:
            distributed.leave_single_process()
            return otherwise
        finally:
            self._may_cut = False

    def asked(self) -> bool:
        """Whether any rank was asked to stop."""
        if distributed.any_rank(bool(self.name)):
            self.name = self.name or "a signal to another rank"
            return True
        return False

    def leave(self, step: int, save: Callable[[], object] | None = None) -> None:
        """Where any rank was asked to stop: `save()`, then `Interrupted`. Without `save` all is saved already."""
        if self.asked():
            if save is not None:
                save()
            raise Interrupted(f"stopped by {self.name} at step {step}, saved")
