"""The lock of a run directory: a lease that its one writer renews, so that whoever dies on any machine gives it up.

`run.lock` says who holds it: process, host, boot and PID namespace. A process that this one can look up lives or not. Of any
other (another machine, another container, another start of this machine) only its lease tells: the lock's time of
modification, which the writer renews every few seconds. Times are those of the file system, not of two machines' clocks.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from multimodal_lab import files
from multimodal_lab.runs.lock_owner import (
    CLAIMED,
    NAMESPACE,
    DirectoryError,
    called,
    is_mine,
    is_near,
    me,
    read,
    started,
)

LOCK = "run.lock"
EVERY = 10.0  # seconds between two renewals
LEASE = 120.0  # seconds without one, after which nobody holds it
SLACK = 1.0  # seconds to which some file systems round
_renewals: dict[Path, threading.Event] = {}


class Held(DirectoryError):
    """A run directory that a living process writes to."""


def take(folder: Path) -> None:
    """Hold the lease of `folder` from now on, renewed by a thread; `Held` where another process does.

    That of a process which can't be looked up from here is waited for till it is renewed or ends.
    """
    wait_for_renewal([folder], told=True)
    with _alone(folder):
        _lock(folder / LOCK)
    stop = _renewals[folder] = threading.Event()
    lock = (folder / LOCK).absolute()  # a job may change the working directory
    threading.Thread(target=_renew, args=(lock, stop), name="run.lock", daemon=True).start()


def release(folder: Path) -> None:
    """Give the lease up, if this process holds it."""
    if (stop := _renewals.pop(folder, None)) is not None:
        stop.set()
    with contextlib.suppress(OSError, DirectoryError):
        if is_mine(read(folder / LOCK)):
            (folder / LOCK).unlink()


def claimed_at(folder: Path) -> int:
    """When the lock of `folder` was made, in ns; `OSError` where there is none."""
    lock = folder / LOCK
    made = lock.stat().st_mtime_ns
    with contextlib.suppress(DirectoryError):
        found = read(lock).get(CLAIMED)
        return found if isinstance(found, int) else made
    return made


def holder(folder: Path) -> str | None:
    """The process that holds the lease of `folder`, if any; a lock that can't be read tells of none."""
    with contextlib.suppress(DirectoryError):
        return _living(folder / LOCK, time.time())
    return None


def wait_for_renewal(folders: Iterable[Path], told: bool = False) -> None:
    """Wait till each lease of a process that can't be looked up from here is renewed, given up or ended: a lease at most."""
    left = {}
    for lock in (folder / LOCK for folder in folders):
        with contextlib.suppress(OSError, DirectoryError):
            owner = read(lock)
            if (
                owner
                and NAMESPACE in owner
                and not is_near(owner)
                and (rest := LEASE - _age(lock, _now(lock.parent))) > 0
            ):
                left[lock] = (lock.stat().st_mtime_ns, time.monotonic() + rest + SLACK)
                if told:
                    said = f"dir={lock.parent}: held by process {called(owner)}; waiting for its lease, {rest:.0f} s at most"
                    print(said, flush=True)
    while left:
        time.sleep(min(1.0, EVERY / 4))
        for lock, (renewed, end) in [*left.items()]:
            if _renewed(lock) != renewed or time.monotonic() > end:
                del left[lock]


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time, where the file system has such locks; where it has none, names are enough, see `_lock`."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _lock(path: Path) -> None:
    for _ in range(10):
        try:
            fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            owner = read(path)
            if (told := _living(path, _now(path.parent))) is not None:
                raise Held(f"dir={path.parent}: process {told} is writing here; {_way_out(path, owner)}") from None
            _set_aside(path, owner)
            continue
        with os.fdopen(fd, "w") as f:
            f.write(files.as_json({**me(), CLAIMED: os.fstat(fd).st_mtime_ns}))
        return
    raise DirectoryError(f"dir={path.parent}: {LOCK} keeps changing hands; give another dir")


def _way_out(path: Path, owner: dict[str, Any]) -> str:
    other = "wait for it or give another dir"
    if is_near(owner):
        return other
    if NAMESPACE not in owner:
        return f"{other}, or remove {path} if that machine is down"
    return f"{other}; {LEASE:.0f} s after it has died this command takes over, or at once where you remove {path}"


def _set_aside(path: Path, owner: dict[str, Any]) -> None:
    """Remove a dead owner's lock; one that another process has put there meanwhile stays."""
    aside = path.with_name(f".{LOCK}.{secrets.token_hex(4)}")
    with contextlib.suppress(FileNotFoundError):
        os.rename(path, aside)  # of two that find one lock dead, one gets it
        if read(aside) != owner:
            with contextlib.suppress(FileExistsError):
                os.link(aside, path)
        aside.unlink()


def _renew(path: Path, stop: threading.Event) -> None:
    """Renew a lease every few seconds; a process that has lost it, by a pause longer than a lease, ends at once."""
    while not stop.wait(EVERY):
        try:
            found = read(path)
            if is_mine(found):
                os.utime(path)
            elif found and not stop.is_set():
                told = (
                    f"error: dir={path.parent}: process {called(found)} has taken it over while this one did not answer"
                )
                print(told, file=sys.stderr, flush=True)
                os._exit(1)  # whatever it would still write is another's to write now
        except (OSError, DirectoryError):
            continue  # a disk or network that has a bad moment, or a directory that was removed


def _living(path: Path, now: float) -> str | None:
    """Who holds the lock, None where nobody does."""
    owner = read(path)
    if not owner:
        return None
    if is_near(owner):
        alive = started(owner["pid"]) == owner["started"]
        return str(owner["pid"]) if alive else None
    if NAMESPACE not in owner:
        return called(owner) if owner["host"] != me()["host"] else None
    return called(owner) if _age(path, now) <= LEASE else None


def _renewed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _age(path: Path, now: float) -> float:
    """Seconds since a lock was renewed; none where it is gone."""
    try:
        return now - path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _now(folder: Path) -> float:
    """The time as the file system has it, which another machine's clock need not share."""
    probe = folder / f".{LOCK}.{secrets.token_hex(4)}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)
