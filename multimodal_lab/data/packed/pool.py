"""A process pool whose workers inherit one object by fork."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from multimodal_lab.data.loading.orphan import end_with

_shared: Any = None


def pool_of(workers: int, shared: Any) -> ProcessPoolExecutor:
    """Processes that find `shared()` to be what was given: forked where they can be, so that nothing is sent.

    They end with this process, also where it is killed.
    """
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
    return ProcessPoolExecutor(workers, context, initializer=_share, initargs=(shared, os.getpid()))


def shared() -> Any:
    """What `pool_of` gave this process."""
    return _shared


def _share(value: Any, parent: int) -> None:
    global _shared
    _shared = value
    end_with(parent)
