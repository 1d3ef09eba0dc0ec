"""Give freed memory back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import sys


def trim() -> None:
    """What glibc holds of freed arrays goes back: small arrays that stay lie between large ones that went, and keep theirs.

    In half a million rows that was 1 GB. Where the C library is another one nothing happens.
    """
    if (arrow := sys.modules.get("pyarrow")) is not None:  # which has a pool of its own
        arrow.default_memory_pool().release_unused()
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
