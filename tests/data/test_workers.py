"""Loading processes and threads: what kills, hangs or fails one is told with the sample that it was reading."""

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
import torch
from made_source import Made
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from multimodal_lab.data.loading import loader, workers
from multimodal_lab.data.loading.workers import WorkerError
from multimodal_lab.data.source import DataError

CUBE = {"cube": {"kind": "image", "bands": "all"}}
DEADLINE = 10.0


def raises():
    raise RuntimeError("a bug of the reader's own")


def segfaults():
    # pytest's own handler would print a traceback and go on to the default
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGSEGV)


FAULTS = {
    "SIGKILL": (lambda: os.kill(os.getpid(), signal.SIGKILL), WorkerError, "was killed by SIGKILL"),
    "SIGSEGV": (segfaults, WorkerError, r"was killed by SIGSEGV \(a decoder crashed\)"),
    "sys.exit": (lambda: sys.exit(3), WorkerError, "loading failed: SystemExit: 3"),
    "os._exit": (lambda: os._exit(0), WorkerError, "exited with code 0"),
    "sleep": (lambda: time.sleep(600), WorkerError, "got no further in 1 s"),
    "raise": (raises, DataError, "can't be read: RuntimeError: a bug of the reader's own"),
}


class Spoilt(Made):
    """A made source that does something to the process that reads sample 7 in a loading process."""

    fault = None

    def read(self, index, streams):
        if index == 7 and self.fault and os.getpid() != self.main:
            self.fault()
        return super().read(index, streams)


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """torch looks every five seconds for processes that have ended."""
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.2,))


def spoilt(data, fault, count):
    source = Spoilt()
    source.main = os.getpid()
    prepared = data(source, workers=count).prepare(CUBE, 0)
    source.fault = fault
    return prepared


@pytest.mark.parametrize(("fault", "count"), [(fault, 1) for fault in FAULTS] + [("SIGKILL", 2), ("sleep", 2)])
def test_a_process_that_ends_badly_is_reported_with_its_sample(data, monkeypatch, fault, count):
    monkeypatch.setattr(loader, "TIMEOUT", 1.0)
    act, kind, words = FAULTS[fault]
    prepared = spoilt(data, act, count)
    began = time.monotonic()
    with pytest.raises(kind, match=words) as error:
        list(prepared.batches("all"))
    assert time.monotonic() - began < DEADLINE + 1.0
    assert "'s07' (dir/s07.tif)" in str(error.value)
    assert not prepared._workers.alive
    prepared.reader.source.fault = None
    assert len(list(prepared.batches("all"))) == 5  # new processes, once the cause is gone


def test_processes_outlive_a_pass_even_one_that_was_left_early(data):
    prepared = data(workers=2).prepare(CUBE, 0)
    alone = data().prepare(CUBE, 0)
    next(prepared.batches("all", epoch=0, shuffle=True))
    pids = [p.pid for p in prepared._workers._processes]
    for epoch in (1, 2):
        for a, b in zip(alone.batches("all", epoch=epoch, shuffle=True),
                        prepared.batches("all", epoch=epoch, shuffle=True), strict=True):  # fmt: skip
            assert torch.equal(a.ids, b.ids)
            assert torch.equal(a.inputs["cube"], b.inputs["cube"])
    assert pids == [p.pid for p in prepared._workers._processes]


def test_a_pass_inside_a_pass_has_processes_of_its_own(data):
    prepared = data(workers=1).prepare(CUBE, 0)
    alone = [b.ids.tolist() for b in data().prepare(CUBE, 0).batches("all")]
    outer = prepared.batches("all")
    first = next(outer).ids.tolist()
    assert [b.ids.tolist() for b in prepared.batches("all")] == alone
    assert [first, *(b.ids.tolist() for b in outer)] == alone


def test_processes_leave_signals_to_the_main_one(data):
    prepared = data(workers=2).prepare(CUBE, 0)
    batches = prepared.batches("all")
    next(batches)
    for process in prepared._workers._processes:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            os.kill(process.pid, number)
    assert len(list(batches)) == 4
    assert prepared._workers.alive


def test_a_pass_leaves_no_trace_in_the_main_process(data):
    """Its random state and handlers are its own, and small batches that are kept hold no files open."""
    prepared = data(workers=1).prepare(CUBE, 0)
    state, handler = torch.get_rng_state(), signal.getsignal(signal.SIGCHLD)
    kept = list(prepared.batches("all"))
    files = len(os.listdir("/proc/self/fd"))
    kept += [*prepared.batches("all"), *prepared.batches("all")]
    assert len(kept) == 15
    assert len(os.listdir("/proc/self/fd")) <= files  # fewer where a file of an earlier test was collected meanwhile
    assert torch.equal(torch.get_rng_state(), state)
    assert signal.getsignal(signal.SIGCHLD) is handler


def test_shared_memory_is_left_by_no_process_that_is_killed(data, monkeypatch):
    monkeypatch.setattr(workers, "SMALL", 0)
    prepared = data(workers=1).prepare(CUBE, 0)
    batches = prepared.batches("all")
    first = next(batches)
    assert first.inputs["cube"].is_shared()
    assert torch.equal(first.inputs["cube"], next(data().prepare(CUBE, 0).batches("all")).inputs["cube"])
    time.sleep(0.2)  # it has the two batches ready that it may
    (pid,) = (p.pid for p in prepared._workers._processes)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match=r"between two samples: loading process .* was killed by SIGKILL"):
        list(batches)
    assert not [name for name in os.listdir("/dev/shm") if str(pid) in name]


@pytest.mark.parametrize("how", ["cache", "packed"])
def test_threads_give_the_same_batches(data, how):
    source = Made()
    source.threads = how == "packed"
    prepared = data(source, workers=3, cache=how == "cache").prepare(CUBE, 0)
    alone = data().prepare(CUBE, 0)
    for a, b in zip(
        alone.batches("all", epoch=1, shuffle=True), prepared.batches("all", epoch=1, shuffle=True), strict=True
    ):
        assert torch.equal(a.ids, b.ids)
        assert torch.equal(a.inputs["cube"], b.inputs["cube"])
        assert torch.equal(a.mask, b.mask)
    assert prepared._workers is None


def test_threads_read_ahead_and_share_nothing(data):
    """A reader whose array is cut from one reading of it must not get another thread's."""
    source = Made(n=64)
    source.threads = True
    two = {"rgb": {"kind": "image", "bands": ["R", "G"]}, "uv": {"kind": "image", "bands": ["UV1"]}}
    slow = source.read
    seen = set()

    def read(index, streams):
        seen.add(threading.get_ident())
        time.sleep(0.001)
        return slow(index, streams)

    prepared = data(source, workers=4, batch_size=4, background="zero").prepare(two, 0)
    source.read = read
    rows = np.concatenate([b.ids.numpy() for b in prepared.batches("all")])
    assert rows.tolist() == prepared.ids.tolist()
    assert len(seen) > 1
    for batch, at in zip(prepared.batches("all"), range(0, 64, 4)):
        whole = np.stack(source.arrays[at : at + 4]) * np.stack(source.masks[at : at + 4])[:, None]
        assert np.allclose(batch.inputs["uv"].numpy(), whole[:, 2:] / 65535)


def test_a_thread_that_hangs_or_fails_is_told(data, monkeypatch):
    monkeypatch.setattr(loader, "TIMEOUT", 0.2)
    source = Made()
    source.threads = True
    prepared = data(source, workers=2).prepare(CUBE, 0)
    read = source.read
    source.read = lambda i, s: time.sleep(0.6) if i == 7 else read(i, s)
    with pytest.raises(WorkerError, match=r"'s05' .*'s07'.*no batch in 0\.2 s"):
        list(prepared.batches("all"))
    source.masks[9][:] = False
    source.read = read
    monkeypatch.setattr(loader, "TIMEOUT", 60.0)  # a busy machine is no hang
    with pytest.raises(DataError, match=r"'s09'.*mask is all zero"):
        list(prepared.batches("all"))
