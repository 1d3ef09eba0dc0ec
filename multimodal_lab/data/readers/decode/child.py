"""The decoder's process: answers requests on its standard input until that ends. `decoder_process` starts it.

A request is JSON behind its length (4 bytes): `{"call": "sound.read", "args": {...}}`, a public function of a module of this
package. The answer has the same form; arrays lie in memory that both processes map, and the answer says where.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import mmap
import os
import signal
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_lab.data.readers.decode import Refused

MEMORY = 16 * 2**30  # bytes that this process may map in all
KEPT = 1 << 28  # bytes of shared memory that are kept for the next answer
GRAIN = 1 << 20  # bytes: it grows by so many at a time
ALIGN = 64
LENGTH = struct.Struct("<I")


class Room:
    """Memory that both processes see, the file of descriptor `number`: what is decoded into it needn't be sent."""

    def __init__(self, number: int) -> None:
        self.number, self.size, self.used = number, 0, 0
        self.map: mmap.mmap | None = None
        self.made: list[tuple[np.ndarray, int]] = []

    def clear(self) -> None:
        """Begin a new answer."""
        self.made, self.used = [], 0
        if self.size > KEPT:
            self._resize(GRAIN)

    def array(self, shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
        """An array in the shared memory, of no defined values; a function may give it, or any view of it."""
        kind = np.dtype(dtype)
        start = -(-self.used // ALIGN) * ALIGN
        self.used = start + int(np.prod(shape, dtype=np.int64)) * kind.itemsize
        if self.used > self.size:  # what was made before stays where it is in the file, and keeps its own mapping
            self._resize(self.used)
        made: np.ndarray = np.ndarray(shape, kind, self.map, start)
        self.made.append((made, start))
        return made

    def placed(self, x: np.ndarray) -> tuple[int, np.ndarray]:
        """Where an array lies in the file, and the array, copied there if it lies elsewhere."""
        for made, start in self.made:
            if np.may_share_memory(x, made):
                return start + _address(x) - _address(made), x
        own = self.array(x.shape, x.dtype.str)
        own[...] = x
        return self.made[-1][1], own

    def _resize(self, least: int) -> None:
        self.size = max(GRAIN, -(-least // GRAIN) * GRAIN)
        os.ftruncate(self.number, self.size)
        self.map = mmap.mmap(self.number, self.size)


def _address(x: np.ndarray) -> int:
    return int(x.__array_interface__["data"][0])


def answer(room: Room, request: dict[str, Any]) -> dict[str, Any]:
    """What a function gave, or how it failed."""
    try:
        room.clear()
        found = function(request["call"])(room, **request["args"])
        arrays: dict[str, Any] = {}
        for name in [name for name, x in found.items() if isinstance(x, np.ndarray)]:
            at, x = room.placed(found.pop(name))
            arrays[name] = [at, x.dtype.str, x.shape, x.strides]
        return {"value": found, "arrays": arrays, "size": room.size}
    except Refused as error:
        return {"refused": str(error)}
    except Exception as error:  # a decoder may raise anything
        return {"failed": f"{type(error).__name__}: {error}", "errno": getattr(error, "errno", None)}


def function(name: str) -> Any:
    """`module.function` of this package, public and written there; ValueError for any other name."""
    module, _, word = name.partition(".")
    known = [path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in ("__init__", "child")]
    if module in known and not word.startswith("_"):
        found = getattr(importlib.import_module(f"multimodal_lab.data.readers.decode.{module}"), word, None)
        if inspect.isfunction(found) and found.__module__.endswith(f".decode.{module}"):
            return found
    raise ValueError(f"{name!r} is no function of the decoder")


def main(memory: int) -> None:
    """Serve until the other process closes its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal: the first ends this one
    with contextlib.suppress(ImportError, ValueError, OSError):  # where there are no such limits
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    room, source = Room(memory), sys.stdin.buffer
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    while head := source.read(LENGTH.size):
        request = json.loads(source.read(LENGTH.unpack(head)[0]))
        made = json.dumps(answer(room, request)).encode()
        out.write(LENGTH.pack(len(made)) + made)
        out.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
