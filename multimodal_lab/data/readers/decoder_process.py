"""Decode strangers' files in a process of their own: what crashes or hangs there is one `DataError`, and the run goes on.

The process stays and answers one file after another; its arrays come by shared memory. After a crash or a time limit the next
file gets a new one. Every process of a loader has its own, every thread the use of one, and all end with those who started
them.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import mmap
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_lab.data.readers.decode.child import LENGTH
from multimodal_lab.data.readers.folder import readable
from multimodal_lab.data.source import DataError

SECONDS = 120.0  # for one file
CHILD = Path(__file__).parent / "decode" / "child.py"
PACKAGES = Path(__file__).parents[3]
TAIL = 300  # characters of what a process said before it ended


class Ended(Exception):
    """The decoder's process ended, or was ended, before it had answered."""


class Decoder:
    """One process that decodes."""

    def __init__(self) -> None:
        self.memory = _memory()
        self.said = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the process
        folders = [str(PACKAGES), *(path for path in sys.path if path and os.path.isabs(path))]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-P", str(CHILD), str(self.memory)], env=environment, bufsize=0, pass_fds=[self.memory],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said,
        )  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.source, self.out = self.process.stdout.fileno(), self.process.stdin.fileno()
        self.poll = select.poll()
        self.poll.register(self.source, select.POLLIN)
        self.map: mmap.mmap | None = None
        self.size = 0

    def ask(self, call: str, seconds: float, args: dict[str, Any]) -> dict[str, Any]:
        """What the child answers, its arrays copied; `Ended` where it does not within the time."""
        words = json.dumps({"call": call, "args": args}).encode()
        until = time.monotonic() + seconds
        try:
            os.write(self.out, LENGTH.pack(len(words)) + words)  # a few hundred bytes: a pipe takes them whole
            size = LENGTH.unpack(self._read(LENGTH.size, until, seconds))[0]
            found: dict[str, Any] = json.loads(self._read(size, until, seconds))
        except OSError as error:
            raise Ended(self._why()) from error
        for name, (at, dtype, shape, strides) in found.pop("arrays", {}).items():
            if self.map is None or self.size != found["size"]:
                self.size = found["size"]
                self.map = mmap.mmap(self.memory, self.size)
            view: np.ndarray = np.ndarray(shape, dtype, self.map, at, strides)
            found["value"][name] = view.copy(order="C")
        return found

    def _read(self, count: int, until: float, seconds: float) -> bytes:
        found = b""
        while len(found) < count:
            if not self.poll.poll(max(0.0, until - time.monotonic()) * 1e3):
                raise Ended(f"its decoder gave no answer in {seconds:g} s and was ended")
            part = os.read(self.source, count - len(found))
            if not part:
                raise Ended(self._why())
            found += part
        return found

    def _why(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5.0)
        code = self.process.returncode
        name = ""
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                name = f" ({signal.Signals(-code).name})"
        self.said.seek(0)
        words = " ".join(self.said.read().decode(errors="replace").split())[-TAIL:]
        return f"its decoder crashed{name}{': ' if words else ''}{words}"

    def close(self) -> None:
        """End the process."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.forget()

    def forget(self) -> None:
        """Close this end alone, as a process does that was forked: the decoder is another's."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        os.close(self.memory)
        self.said.close()
        self.process.returncode = self.process.returncode or 0  # none of ours: nobody waits for it


class _Pool:
    """Decoders that wait for work: as many as threads ever asked at one time."""

    def __init__(self) -> None:
        self.waiting: list[Decoder] = []
        self.lent: set[Decoder] = set()
        self.lock = threading.Lock()

    def take(self) -> Decoder:
        """One that waits, or a new one."""
        with self.lock:
            found = self.waiting.pop() if self.waiting else None
        if found is not None and found.process.poll() is not None:  # it ended between two files, by neither's fault
            found.close()
            found = None
        made = found or Decoder()
        with self.lock:
            self.lent.add(made)
        return made

    def give(self, decoder: Decoder, whole: bool) -> None:
        """Take one back; one that is not whole is ended."""
        with self.lock:
            self.lent.discard(decoder)
            if whole:
                self.waiting.append(decoder)
        if not whole:
            decoder.close()

    def close(self) -> None:
        """End all."""
        for decoder in (*self.waiting, *self.lent):
            decoder.close()
        self.waiting, self.lent = [], set()


_pool = _Pool()


def _after_fork() -> None:
    global _pool
    theirs = (*_pool.waiting, *_pool.lent)
    _pool = _Pool()
    for decoder in theirs:
        with contextlib.suppress(OSError):
            decoder.forget()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(lambda: _pool.close())


def decoded(call: str, name: str, what: str, args: dict[str, Any], seconds: float = SECONDS) -> dict[str, Any]:
    """What the function `call` of `readers/decode` gives of one file, `sound.read` of that package's `sound.py`, say.

    name: how messages call the file; what: what it should be. args: plain JSON values. Its arrays are new and contiguous.
    Raises `DataError` naming the file where it is refused or can't be decoded, and where its decoder crashes or takes longer
    than `seconds`; an `OSError` of the disk is told as that.
    """
    pool = _pool
    decoder = pool.take()
    whole = False
    try:
        found = decoder.ask(call, seconds, args)
        whole = True
    except Ended as error:
        raise DataError(f"{name}: not a readable {what}: {error}") from error
    finally:
        pool.give(decoder, whole)
    if "refused" in found:
        raise DataError(f"{name}: {found['refused']}")
    if "failed" in found:
        with readable(name, what):
            if (number := found["errno"]) is not None:
                raise OSError(number, os.strerror(number))
            raise DataError(f"{name}: not a whole, readable {what}: {found['failed']}")
    value: dict[str, Any] = found["value"]
    return value


def _memory() -> int:
    """The descriptor of a file without a name, in memory where there is such."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("decoded")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
