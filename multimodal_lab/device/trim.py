"""Trim freed memory: kept for the next step of a training, given back to the system where a table is done with."""

from __future__ import annotations

import contextlib
import ctypes
import sys

# of malloc.h: what is free at the heap's end and goes back, -1 for never; from which size on a block is mapped by itself
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST = 32 * 2**20  # bytes, of the latter


def keep() -> None:
    """From now on glibc keeps what is freed, which `trim` gives back: a step on the CPU takes the memory of the one before.

    Else each step's arrays are pages that the system must clear again: 54,000 a step of a small CLIP, 0.12 s of its 1.4.
    Where the C library is another one nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_THRESHOLD, LARGEST)
        library.mallopt(M_TRIM_THRESHOLD, -1)


def trim() -> None:
    """What glibc holds of freed arrays goes back: small arrays that stay lie between large ones that went, and keep theirs.

    In half a million rows that was 1 GB. Where the C library is another one nothing happens.
    """
    if (arrow := sys.modules.get("pyarrow")) is not None:  # which has a pool of its own
        arrow.default_memory_pool().release_unused()
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
