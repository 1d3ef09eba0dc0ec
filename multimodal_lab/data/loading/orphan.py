"""Orphaned workers: end a process whose parent is gone, as one that was killed could not tell it."""

from __future__ import annotations

import os
import threading
import time

EVERY = 0.5  # seconds


def end_with(parent: int) -> None:
    """Watch from a thread of this process whether `parent`, which started it, still lives, and end with it.

    A pipe to the parent would not do: other workers hold its ends, too, by fork. Nothing is saved or said: the work of a
    parent that was killed is nobody's.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(EVERY)
        os._exit(1)

    threading.Thread(target=watch, name="end with the parent", daemon=True).start()
