"""Read ahead: files that other processes decode while the caller works on what it has."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from multimodal_lab.data.readers.columns.medium import Decoded

THREADS = 2  # each waits for a decoder's process
DEPTH = 4  # files that wait, decoded, to be asked for
Job = tuple[Hashable, Callable[[], Decoded]]


class Ahead:
    """Files by their keys, decoded in the order in which they are expected; a pickled or forked copy expects nothing."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.lock = threading.Lock()
        self.pool: ThreadPoolExecutor | None = None
        self.jobs: deque[Job] = deque()
        self.waiting: dict[Hashable, Future[Decoded]] = {}

    def expect(self, jobs: Iterable[Job]) -> None:
        """What comes next, instead of what was expected before."""
        if self.process != os.getpid():
            self.__init__()  # type: ignore[misc]
        with self.lock:
            for future in self.waiting.values():
                future.cancel()
            self.waiting, self.jobs = {}, deque(jobs)
            self._fill()

    def get(self, key: Hashable, make: Callable[[], Decoded]) -> Decoded:
        """The file of that key, waited for where it is expected, made now where it is not; an error of it is raised."""
        if self.process != os.getpid():
            return make()
        with self.lock:
            future = self.waiting.pop(key, None)
            self._fill()
        return make() if future is None else future.result()

    def _fill(self) -> None:
        while self.jobs and len(self.waiting) < DEPTH:
            key, make = self.jobs.popleft()
            if key not in self.waiting:
                self.pool = self.pool or ThreadPoolExecutor(THREADS, "decoding")
                self.waiting[key] = self.pool.submit(make)

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]
