"""Batch loader whose order is a pure function of (seed, epoch), whatever the number of workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from multimodal_lab.data.loading.workers import AHEAD, Task, WorkerError
from multimodal_lab.text import some
from multimodal_lab.types import Batch

Fetch = Callable[[np.ndarray, int | None], Batch]
TIMEOUT = 300.0  # seconds that one sample may take in another process, or one batch in a thread


def steps(count: int, batch_size: int, drop_last: bool) -> int:
    """How many batches `count` samples make."""
    return count // batch_size if drop_last else -(-count // batch_size)


def shards(
    rows: np.ndarray, batch_size: int, drop_last: bool, start: int, rank: int, world: int
) -> Iterator[np.ndarray]:
    """The rows of each batch for one rank: every world-th of each global batch of `batch_size`, from batch `start` on.

    A rank that gets no row of an uneven last batch gets no batch for it.
    """
    for step in range(start, steps(len(rows), batch_size, drop_last)):
        mine = rows[step * batch_size : (step + 1) * batch_size][rank::world]
        if len(mine):
            yield mine


def threaded(fetch: Fetch, tasks: list[Task], threads: int, called: Callable[[int], str]) -> Iterator[Batch]:
    """Fetch whole batches ahead in `threads` threads, and give them in order; what a thread raises is raised here."""
    waiting: deque[tuple[Task, Future[Batch]]] = deque()
    pool = ThreadPoolExecutor(threads, "loader")
    try:
        for task in tasks:
            waiting.append((task, pool.submit(fetch, *task)))
            if len(waiting) >= AHEAD * threads:
                yield _first(waiting, called)
        while waiting:
            yield _first(waiting, called)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _first(waiting: deque[tuple[Task, Future[Batch]]], called: Callable[[int], str]) -> Batch:
    (rows, _), future = waiting.popleft()
    try:
        return future.result(TIMEOUT)
    except TimeoutError:
        if future.done():
            raise
        names = some([called(int(r)) for r in rows])
        raise WorkerError(f"{names}: loading hangs: no batch in {TIMEOUT:g} s") from None
