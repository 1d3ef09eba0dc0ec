"""DataLoader worker processes that report which sample they were reading when one dies."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection, sharedctypes, util
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from multimodal_lab.data.source import DataError
from multimodal_lab.types import Batch

AHEAD = 2  # batches that a process may hold ready
IDLE = -1
SMALL = 1 << 18  # bytes
HINTS: dict[int, str] = {
    signal.SIGKILL: " (out of memory?)",
    signal.SIGSEGV: " (a decoder crashed)",
    signal.SIGBUS: " (out of shared memory? /dev/shm holds batches on their way)",
}
LEFT_TO_MAIN = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
Task = tuple[np.ndarray, int | None]


class WorkerError(RuntimeError):
    """A worker process that died, hung or failed: which sample it was reading, and why."""


class Workers:
    """`count` processes that each call `fetch(rows, epoch, watch)`, which calls `watch(row)` before it reads a sample.

    called: how messages name a row. timeout: seconds that one sample may take. The processes are forked where that can
    be done, at the first pass, and see `fetch` as it was then; they leave such signals to the main
    process, which is to save first.
    """

    def __init__(self, fetch: Any, called: Callable[[int], str], count: int, timeout: float) -> None:
        self.called, self.timeout, self.busy = called, timeout, False
        # One slot a process: its id and the row it reads. Never locked: a dead process holds no lock.
        self._slots = sharedctypes.RawArray("q", [0, IDLE] * count)
        self._order = _Order()
        self._processes: list[Any] = []
        self._loader: DataLoader[Any] = DataLoader(
            _Answers(fetch, self._slots, timeout),
            sampler=self._order,
            batch_size=None,  # a task is a batch already
            collate_fn=_as_it_is,
            num_workers=count,
            prefetch_factor=AHEAD,
            persistent_workers=True,
            worker_init_fn=_leave_signals,
            multiprocessing_context="fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn",
            generator=torch.Generator(),  # else each pass would take a number from the global one
        )
        self._pass: Iterator[Any] = self._started()
        self.close = util.Finalize(self, _kill, (self._processes,), exitpriority=10)  # they ignore torch's SIGTERM

    def _started(self) -> Iterator[Any]:
        before, handler = multiprocessing.active_children(), signal.getsignal(signal.SIGCHLD)
        with _held(LEFT_TO_MAIN):  # one that comes before a process can ignore it would end it
            found = iter(self._loader)
        self._processes += [p for p in multiprocessing.active_children() if p not in before]
        if handler is not None and threading.current_thread() is threading.main_thread():
            # torch's handler raises wherever the main process is at that moment: in the middle of a step or a save
            signal.signal(signal.SIGCHLD, handler)
        return found

    def run(self, tasks: Sequence[Task]) -> Iterator[Batch]:
        """The batches of `tasks` in order; a `DataError` of a process is raised here, all else is a `WorkerError`."""
        self.busy = True
        try:
            with self._watched():
                for _ in self._pass:  # answers of a pass that was left early
                    pass
                self._order.tasks = iter(tasks)
                self._pass = iter(self._loader)
            while True:
                with self._watched():
                    answer = next(self._pass, None)
                if answer is None:
                    return
                yield self._batch(*answer)
        except (DataError, WorkerError):
            self.close()
            raise
        finally:
            self._order.tasks = iter(())
            self.busy = False

    @property
    def alive(self) -> bool:
        """Whether the processes are still there."""
        return bool(self.close.still_active()) and all(p.is_alive() for p in self._processes)

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """Tell the death of a process, for which torch looks every five seconds, as what it was reading."""
        try:
            yield
        except (RuntimeError, OSError, EOFError) as error:
            gone = connection.wait([p.sentinel for p in self._processes], 5)
            for process in (p for p in self._processes if p.sentinel in gone):
                raise self._death(process) from error
            raise

    def _batch(self, kind: str, found: Any) -> Batch:
        if kind == "data":
            raise DataError(found)
        if kind == "failed":
            raise WorkerError(f"{self._named(found[0])}: loading failed: {found[1]}")
        return _each(found, _received)

    def _death(self, process: Any) -> WorkerError:
        process.join(5)
        row = dict(zip(self._slots[::2], self._slots[1::2])).get(process.pid, IDLE)
        code = process.exitcode or 0
        if code == -signal.SIGALRM:
            said = f"process {process.pid} got no further in {self.timeout:g} s"
            return WorkerError(f"{self._named(row)}: loading hangs: {said}")
        cause = (
            f"was killed by {signal.Signals(-code).name}{HINTS.get(-code, '')}"
            if code < 0
            else f"exited with code {code}"
        )
        return WorkerError(f"{self._named(row)}: loading process {process.pid} {cause}")

    def _named(self, row: int) -> str:
        return "between two samples" if row == IDLE else self.called(row)


class _Order(Sampler[Task]):
    """The tasks of the pass that runs; torch asks for them as it goes, so that a pass that is left early asks no more."""

    def __init__(self) -> None:
        self.tasks: Iterator[Task] = iter(())

    def __iter__(self) -> Iterator[Task]:
        while (task := next(self.tasks, None)) is not None:
            yield task


class _Answers(Dataset[Any]):
    """Called in a process: the batch of a task, or what came instead of it, which torch would tell without the sample."""

    def __init__(self, fetch: Any, slots: Any, timeout: float) -> None:
        self.fetch, self.slots, self.timeout = fetch, slots, timeout

    def __getitem__(self, task: Task) -> tuple[str, Any]:
        place = 2 * get_worker_info().id  # type: ignore[union-attr]
        self.slots[place] = multiprocessing.current_process().pid

        def watch(row: int) -> None:
            self.slots[place + 1] = row
            # SIGALRM ends a process that gets no further, even one that never comes back from a decoder
            signal.setitimer(signal.ITIMER_REAL, 0 if row == IDLE else self.timeout)

        try:
            return "batch", _each(self.fetch(*task, watch), _sent)
        except DataError as error:
            return "data", str(error)
        except BaseException as error:  # sys.exit in a reader too: it must be reported, not end the process silently
            said = "".join(traceback.format_exception_only(error)).strip()
            return "failed", (self.slots[place + 1], said)
        finally:
            watch(IDLE)


def _each(batch: Batch, change: Callable[[Any], Any]) -> Batch:
    """The batch with every tensor of it changed."""

    def changed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: changed(x) for key, x in value.items()}
        return None if value is None else change(value)

    return Batch(**{f.name: changed(getattr(batch, f.name)) for f in dataclasses.fields(batch)})


def _sent(x: Tensor) -> Any:
    """A large tensor in shared memory, where the main process finds it; it takes an open file, so a small one is sent itself.

    Shared here, not by torch's queue: its thread would only print that there is no room, and the main process wait.
    """
    return x.share_memory_() if x.nbytes > SMALL else x.numpy()  # type: ignore[no-untyped-call]


def _received(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else torch.from_numpy(x)


def _as_it_is(answer: Any) -> Any:
    return answer


def _leave_signals(worker: int) -> None:
    for number in LEFT_TO_MAIN:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, LEFT_TO_MAIN)


@contextlib.contextmanager
def _held(numbers: Sequence[signal.Signals]) -> Iterator[None]:
    """Signals that come meanwhile wait; a process started here is born with them waiting."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _kill(processes: list[Any]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.join()
