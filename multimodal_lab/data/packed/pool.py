"""A process pool whose workers inherit one object by fork."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import Any

_shared: Any = None


def pool_of(workers: int, shared: Any) -> ProcessPoolExecutor:
    """Processes that find `shared()` to be what was given: forked where they can be, so that nothing is sent."""
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
    return ProcessPoolExecutor(workers, context, initializer=_share, initargs=(shared,))


def shared() -> Any:
    """What `pool_of` gave this process."""
    return _shared


def _share(value: Any) -> None:
    global _shared
    _shared = value
