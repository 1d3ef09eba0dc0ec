"""What is searched, while it is still being made: how far it is, and what came of it."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

from multimodal_lab import stage
from multimodal_lab.config import redact
from multimodal_lab.serve.contents import Contents
from multimodal_lab.serve.problem import RequestError
from multimodal_lab.serve.server import tell
from multimodal_lab.text import printable

EVERY = 5.0  # seconds between lines on the terminal
State = Literal["building", "ready", "failed"]


class Stopped(Exception):
    """The server ends."""


@dataclass
class Gallery:
    """Made by a thread of its own; requests are answered meanwhile, but for searches.

    what: of which samples it is, for people. done, total: samples embedded; message: why it failed.
    """

    what: str
    state: State = "building"
    done: int = 0
    total: int = 0
    message: str = ""
    contents: Contents | None = None

    def __post_init__(self) -> None:
        self._stop, self._told = threading.Event(), time.monotonic()
        self._thread: threading.Thread | None = None

    def start(self, make: Callable[[Gallery], Contents], then: Callable[[Contents], None] | None = None) -> None:
        """Make it in a thread; `then` is done once it is ready."""
        self._thread = threading.Thread(target=self._make, args=(make, then), name="gallery", daemon=True)
        self._thread.start()

    def stop(self, seconds: float = 20.0) -> None:
        """Let the thread end at its next batch."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def step(self, done: int, total: int) -> None:
        """So many samples are done; `Stopped` where the server ends."""
        self.done, self.total = done, total
        if time.monotonic() - self._told > EVERY or done == total:
            self._told = time.monotonic()
            print(f"embedding {self.what}: {done:,} of {total:,}", flush=True)
        if self._stop.is_set():
            raise Stopped

    def ready(self) -> Contents:
        """The samples; 503 while they are being embedded, or where that failed."""
        if self.contents is not None:
            return self.contents
        if self.state == "failed":
            raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, f"nothing to search in: {self.message}")
        how_far = f"{self.done:,} of {self.total:,} samples" if self.total else "opening the data"
        message = f"the index of {self.what} is being built ({how_far}); try again in some seconds"
        raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, message, Retry_After="3")

    def told(self) -> dict[str, Any]:
        """For an answer."""
        told: dict[str, Any] = {"state": self.state, "what": self.what, "done": self.done, "total": self.total}
        if self.message:
            told["message"] = self.message
        if (found := self.contents) is not None:
            told |= {"samples": len(found), "spaces": found.spaces, "splits": found.splits, "pictures": found.shown}
        return told

    def _make(self, make: Callable[[Gallery], Contents], then: Callable[[Contents], None] | None) -> None:
        try:
            made = make(self)
            self.done = self.total = len(made)
            self.contents, self.state = made, "ready"
            if then is not None:
                then(made)
        except Stopped:
            return
        except Exception as error:
            if not stage.deliberate(error):
                tell(error)
            said = printable(redact.text(stage.sentence(error, "the server's terminal")), one_line=True)
            if self.contents is None:
                self.message, self.state = said, "failed"
            print(f"{self.what}: {said}", file=sys.stderr, flush=True)
