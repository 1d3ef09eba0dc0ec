"""Processes that make batches: they outlive a pass, answer in order, and none dies or hangs without being named."""

from __future__ import annotations

import contextlib
import dataclasses
import mmap
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection, reduction, sharedctypes, util
from typing import Any

import numpy as np
import torch
from torch import Tensor

from multimodal_lab.data.source import DataError
from multimodal_lab.types import Batch

AHEAD = 2  # batches that a process may hold ready
POLL = 0.2  # seconds between two looks at what each process is reading
IDLE = -1
LEFT_TO_MAIN = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
Task = tuple[np.ndarray, int | None]


class WorkerError(RuntimeError):
    """A loading process that died, hung or failed: which sample it was reading, and of what it died."""


class Workers:
    """`count` processes that each call `fetch(rows, epoch)`, which calls `watch(row)` before it reads a sample.

    called: how messages name a row. timeout: seconds that one sample may take. The processes are forked where that can
    be done, at the first pass, and see `fetch` as it was then; they leave SIGTERM, SIGINT and SIGUSR1 to the main
    process, which is to save first.
    """

    def __init__(self, fetch: Any, called: Callable[[int], str], count: int, timeout: float) -> None:
        self.called, self.timeout, self.busy = called, timeout, False
        methods = multiprocessing.get_all_start_methods()
        context: Any = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
        # One slot a process: the row it reads. Written there, read here, never locked: a dead process holds no lock.
        self._reading = sharedctypes.RawArray("q", [IDLE] * count)
        self._ends: list[Any] = []
        self._processes: list[Any] = []
        self._stale = [0] * count
        for i in range(count):
            ours, theirs = context.Pipe()
            fork = context.get_start_method() == "fork"
            args = (fetch, i, theirs, self._reading, [*self._ends, ours] if fork else [])
            process = context.Process(target=_work, args=args, daemon=True)
            with _held(LEFT_TO_MAIN):  # one that comes before the process can ignore it would end it
                process.start()
            theirs.close()
            self._ends.append(ours)
            self._processes.append(process)
        self.close = util.Finalize(self, _stop, (self._ends, self._processes), exitpriority=10)

    def run(self, tasks: Sequence[Task]) -> Iterator[Batch]:
        """The batches of `tasks` in order; a `DataError` of a process is raised here, all else is a `WorkerError`."""
        self.busy = True
        count, asked, given = len(self._ends), 0, 0
        try:
            while given < len(tasks):
                while asked < min(len(tasks), given + AHEAD * count):
                    self._send(asked % count, tasks[asked])
                    asked += 1
                batch = self._next(given % count)
                given += 1
                yield batch
        except (DataError, WorkerError):
            self.close()
            raise
        finally:
            for i in range(given, asked):  # of a pass that was left early: their answers are still to come
                self._stale[i % count] += 1
            self.busy = False

    @property
    def alive(self) -> bool:
        """Whether the processes are still there."""
        return bool(self.close.still_active()) and all(p.is_alive() for p in self._processes)

    def _send(self, worker: int, task: Task) -> None:
        try:
            self._ends[worker].send(task)
        except OSError:
            raise self._death(worker) from None

    def _next(self, worker: int) -> Batch:
        """The next answer of one process that this pass asked for."""
        while self._stale[worker]:
            self._await(worker)
            self._stale[worker] -= 1
            with contextlib.suppress(DataError):
                self._received(worker)
        self._await(worker)
        return self._received(worker)

    def _await(self, worker: int) -> None:
        """Wait until one process answers, and look after all of them meanwhile."""
        since = [(int(row), time.monotonic()) for row in self._reading]
        while not self._ends[worker].poll():
            ready = connection.wait([self._ends[worker], *(p.sentinel for p in self._processes)], POLL)
            for dead in (i for i, p in enumerate(self._processes) if p.sentinel in ready):
                raise self._death(dead)
            now = time.monotonic()
            since = [old if old[0] == row else (int(row), now) for old, row in zip(since, self._reading)]
            for i, (row, began) in enumerate(since):
                if row != IDLE and now - began > self.timeout:
                    said = f"process {self._processes[i].pid} got no further in {self.timeout:g} s"
                    raise WorkerError(f"{self.called(row)}: loading hangs: {said}")

    def _received(self, worker: int) -> Batch:
        try:
            kind, facts = self._ends[worker].recv()
            if kind == "batch":
                return received(self._ends[worker], facts)
        except (EOFError, OSError):
            raise self._death(worker) from None
        raise (
            DataError(facts) if kind == "data" else WorkerError(f"{self._named(facts[0])}: loading failed: {facts[1]}")
        )

    def _death(self, worker: int) -> WorkerError:
        process = self._processes[worker]
        process.join(5)
        code = process.exitcode
        cause = f"exited with code {code}"
        if code is not None and code < 0:
            hint = {signal.SIGKILL: " (out of memory?)", signal.SIGSEGV: " (a decoder crashed)"}.get(-code, "")
            cause = f"was killed by {signal.Signals(-code).name}{hint}"
        return WorkerError(f"{self._named(int(self._reading[worker]))}: loading process {process.pid} {cause}")

    def _named(self, row: int) -> str:
        return "between two samples" if row == IDLE else self.called(row)


@contextlib.contextmanager
def _held(numbers: Sequence[signal.Signals]) -> Iterator[None]:
    """Signals that come meanwhile wait; a process started here is born with them waiting."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(fetch: Any, place: int, end: Any, reading: Any, others: list[Any]) -> None:
    """What a process does: answer tasks until the main process hangs up."""
    for number in LEFT_TO_MAIN:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, LEFT_TO_MAIN)
    for other in others:  # else a process would not see its main process die
        other.close()
    torch.set_num_threads(1)

    def watch(row: int) -> None:
        reading[place] = row

    while True:
        try:
            rows, epoch = end.recv()
        except (EOFError, OSError):
            return
        answer: Any = None
        try:
            batch = fetch(rows, epoch, watch)
        except DataError as error:
            answer = ("data", str(error))
        except BaseException as error:  # sys.exit in a reader too: it must be told, not end the process in silence
            said = "".join(traceback.format_exception_only(error)).strip()
            answer = ("failed", (int(reading[place]), said))
        watch(IDLE)
        try:
            send(end, batch) if answer is None else end.send(answer)
        except OSError:
            return


def send(end: Any, batch: Batch) -> None:
    """Send a batch: its tensors in one anonymous file, whose pages the receiver maps, so that nothing is copied twice."""
    facts, arrays, size = described(batch)
    if not hasattr(os, "memfd_create"):
        end.send(("batch", (facts, b"".join(a.tobytes() + bytes(-a.nbytes % 64) for a in arrays))))
        return
    file = os.memfd_create("batch")
    try:
        os.ftruncate(file, max(1, size))
        with mmap.mmap(file, max(1, size)) as memory:
            at = 0
            for array in arrays:
                memory[at : at + array.nbytes] = array.data.cast("B") if array.nbytes else b""
                at += array.nbytes + -array.nbytes % 64
        end.send(("batch", (facts, None)))
        reduction.send_handle(end, file, os.getppid())
    finally:
        os.close(file)


def received(end: Any, facts: tuple[Any, bytes | None]) -> Batch:
    """What `send` sent."""
    fields, content = facts
    if content is not None:
        return rebuilt(fields, bytearray(content))
    file = reduction.recv_handle(end)
    try:
        return rebuilt(fields, mmap.mmap(file, 0))
    finally:
        os.close(file)


def described(batch: Batch) -> tuple[list[tuple[Any, ...]], list[np.ndarray], int]:
    """Where each tensor of a batch lies: (field, key or None, offset, shape, dtype), the arrays, and the bytes in all."""
    facts: list[tuple[Any, ...]] = []
    arrays: list[np.ndarray] = []
    at = 0
    for field in dataclasses.fields(batch):
        value = getattr(batch, field.name)
        for key, tensor in value.items() if isinstance(value, dict) else [(None, value)]:
            if tensor is None:
                continue
            array = np.ascontiguousarray(tensor.numpy())
            facts.append((field.name, key, at, tuple(tensor.shape), array.dtype.str))
            arrays.append(array)
            at += array.nbytes + -array.nbytes % 64
    return facts, arrays, at


def rebuilt(facts: list[tuple[Any, ...]], memory: Any) -> Batch:
    """The batch whose tensors lie in `memory` as `described` says."""
    found: dict[str, Any] = {
        f.name: {} for f in dataclasses.fields(Batch) if f.name in ("inputs", "targets", "present")
    }
    for name, key, at, shape, dtype in facts:
        count = int(np.prod(shape))
        values = np.frombuffer(memory, dtype, count, at) if count else np.empty(0, dtype)
        tensor: Tensor = torch.from_numpy(values.reshape(shape))
        if key is None:
            found[name] = tensor
        else:
            found.setdefault(name, {})[key] = tensor
    return Batch(**found)


def _stop(ends: list[Any], processes: list[Any]) -> None:
    """Hang up; what has not gone in a moment is killed."""
    for end in ends:
        end.close()
    until = time.monotonic() + 0.5
    for process in processes:
        process.join(max(0.0, until - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
