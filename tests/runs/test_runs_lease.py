"""The lease of a run directory: of processes that can't be looked up, on another machine or in another container."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from multimodal_lab.runs import directory, lease, lock_owner

ROOT = Path(__file__).parents[2]
ELSEWHERE = {
    "another machine": {"host": "node7"},
    "another container": {"namespace": "pid:[1]"},
    "another start": {"boot": "x"},
}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A lease of one second, so that its end can be waited for."""
    monkeypatch.setattr(lease, "EVERY", 0.1)
    monkeypatch.setattr(lease, "LEASE", 1.0)
    monkeypatch.setattr(lease, "SLACK", 0.2)


def held_by(folder, **other):
    """A lock whose process, by its number, lives here, and says that it lives elsewhere."""
    lock = folder / lease.LOCK
    lock.write_text(json.dumps({**lock_owner.me(), **other}))
    return lock


def renewing(lock):
    """Renew it from a thread, as its owner does; set what is returned to end that."""
    stop = threading.Event()

    def renew():
        while not stop.wait(0.1):
            os.utime(lock)

    threading.Thread(target=renew, daemon=True).start()
    return stop


@pytest.mark.parametrize("other", ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_lease_that_is_renewed_is_refused_with_the_way_to_take_it_over(tmp_path, other):
    lock = held_by(tmp_path, **other)
    stop = renewing(lock)
    try:
        with pytest.raises(
            directory.Held, match=r"is writing here; .* s after it has died this command takes over"
        ) as told:
            directory.claim(tmp_path, resume=True)
        assert f"at once where you remove {lock}" in str(told.value)
        assert str(os.getpid()) in str(directory.holder(tmp_path))
    finally:
        stop.set()


@pytest.mark.parametrize("other", ELSEWHERE.values(), ids=ELSEWHERE)
def test_one_that_has_ended_is_taken_over_and_waited_for(tmp_path, other, capsys):
    lock = held_by(tmp_path, **other)
    began = time.monotonic()
    directory.claim(tmp_path, resume=True)
    assert 0.5 < time.monotonic() - began < 10
    assert "waiting for its lease, 1 s at most" in capsys.readouterr().out
    assert lock_owner.is_mine(lock_owner.read(lock))
    directory.release(tmp_path)
    held_by(tmp_path, **other)
    os.utime(lock, (1, 1))
    assert directory.holder(tmp_path) is None
    began = time.monotonic()
    directory.claim(tmp_path, resume=True)
    assert time.monotonic() - began < 0.5
    directory.release(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == []


def test_it_is_renewed_for_as_long_as_it_is_held(tmp_path):
    directory.claim(tmp_path, resume=False)
    lock = tmp_path / lease.LOCK
    before = lock.stat().st_mtime_ns
    end = time.monotonic() + 10
    while lock.stat().st_mtime_ns == before and time.monotonic() < end:
        time.sleep(0.05)
    assert lock.stat().st_mtime_ns > before
    assert lease.claimed_at(tmp_path) <= before
    directory.release(tmp_path)
    assert not lock.exists()


def test_who_lost_it_in_a_long_pause_ends_at_once(tmp_path):
    code = (
        "import sys, time, pathlib\nfrom multimodal_lab.runs import directory, lease\nlease.EVERY = 0.1\n"
        "directory.claim(pathlib.Path(sys.argv[1]), True)\nprint('held', flush=True)\ntime.sleep(60)\nprint('wrote')"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    held = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    )
    assert held.stdout.readline() == "held\n"
    held_by(tmp_path, host="node7")
    said, wrong = held.communicate(timeout=30)
    assert held.returncode == 1
    assert "wrote" not in said
    assert "on node7 has taken it over while this one did not answer" in wrong


def test_a_lock_that_was_put_there_meanwhile_stays(tmp_path):
    """Of two processes that find the same dead owner one takes over; the other must not remove the new lock."""
    lock = held_by(tmp_path, host="node7")
    dead = lock_owner.read(lock)
    held_by(tmp_path, host="node8")
    lease._set_aside(lock, dead)
    assert lock_owner.read(lock)["host"] == "node8"
    lease._set_aside(lock, lock_owner.read(lock))
    assert not lock.exists()
    lease._set_aside(lock, dead)
    assert list(tmp_path.iterdir()) == []


def test_only_cells_of_dead_launchers_are_free_after_a_wait(tmp_path):
    dead, living = (tmp_path / name for name in ("dead", "living"))
    for folder in (dead, living):
        folder.mkdir()
        held_by(folder, host="node7")
    stop = renewing(living / lease.LOCK)
    try:
        lease.wait_for_renewal([dead, living, tmp_path / "none"])
        assert directory.holder(dead) is None
        assert "on node7" in directory.holder(living)
    finally:
        stop.set()


def test_a_lock_of_an_earlier_version_is_refused_as_ever(tmp_path):
    own = {k: v for k, v in lock_owner.me().items() if k != lock_owner.NAMESPACE}
    lock = tmp_path / lease.LOCK
    lock.write_text(json.dumps({**own, "host": f"not-{socket.gethostname()}"}))
    os.utime(lock, (1, 1))
    with pytest.raises(directory.Held, match=f"or remove {lock} if that machine is down"):
        directory.claim(tmp_path, resume=True)
