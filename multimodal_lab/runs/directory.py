"""The run directory: a unique name, and a lock for a single writer."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from multimodal_lab import files

CONFIG = "config.yaml"
LOCK = "run.lock"
ERROR = "error.txt"


class DirectoryError(RuntimeError):
    """A run directory that can't be used: which, who holds it, what to do."""


class Held(DirectoryError):
    """A run directory that a living process writes to."""


def run_id() -> str:
    """A unique name: the time to the second and 64 random bits; under torchrun the same for all ranks of a launch."""
    job = os.environ.get("TORCHELASTIC_RUN_ID")
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    if job is None:
        return f"{stamp}_{secrets.token_hex(8)}"
    if job != "none":
        return f"torchrun_{job}_{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    # the static rendezvous names every launch "none": the launcher's own process, on one machine, tells them apart
    agent = os.getppid()
    return f"torchrun_{socket.gethostname()}_{agent}_{_started(agent)}"


def claim(folder: Path, resume: bool) -> None:
    """Make this process the only writer of `folder`; call `release` at the end.

    A directory that a run has already used is refused unless `resume`; one that a living process holds, always. The lock
    of a process that died is taken over. Ranks other than 0 own nothing.
    """
    if int(os.environ.get("RANK", "0")) > 0:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / CONFIG).exists() and not resume:
            raise DirectoryError(f"dir={folder}: a run is here already; give another dir, or resume=auto to resume it")
        with _alone(folder):
            _lock(folder / LOCK)
    except OSError as error:
        raise unwritable("dir", folder, error) from error


def unwritable(key: str, folder: Path | str, error: OSError) -> DirectoryError:
    """The message for a `folder`, set by the config's `key`, that cannot be made or written."""
    return DirectoryError(f"{key}={folder}: can't be written ({error.strerror or error}); give a writable {key}=…")


def release(folder: Path) -> None:
    """Release the directory, if this process holds it."""
    with contextlib.suppress(OSError, ValueError):
        if json.loads((folder / LOCK).read_text())["pid"] == os.getpid():
            (folder / LOCK).unlink()


def holder(folder: Path) -> str | None:
    """The living process that writes to `folder`, if any."""
    return _living(folder / LOCK)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process of this machine at a time: of two that find a dead owner's lock, one would unlink the other's."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without such locks: as good as O_EXCL alone
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _lock(path: Path) -> None:
    me = {"pid": os.getpid(), "host": socket.gethostname(), "boot": _boot(), "started": _started(os.getpid())}
    for _ in range(10):
        try:
            fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            if owner := _living(path):
                raise Held(
                    f"dir={path.parent}: process {owner} is writing here; wait for it or give another dir"
                ) from None
            path.unlink(missing_ok=True)
            continue
        with os.fdopen(fd, "w") as f:
            f.write(files.as_json(me))
        return
    raise DirectoryError(f"dir={path.parent}: {LOCK} keeps changing hands; give another dir")


def _living(path: Path) -> str | None:
    try:
        owner = json.loads(files.read_bytes(path))
    except (OSError, ValueError) as error:
        if files.read_failure(error):  # its writer may live
            raise
        return None
    if owner.get("host") != socket.gethostname():
        return f"{owner.get('pid')} on {owner.get('host')}"
    alive = owner.get("boot") == _boot() and _started(int(owner.get("pid", -1))) == owner.get("started") != ""
    return str(owner["pid"]) if alive else None


def _boot() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


def _started(pid: int) -> str:
    """When a process began, in clock ticks since boot: with the pid it identifies the process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def note_failure(folder: Path, text: str) -> None:
    """Save a failure's traceback, ending with the reported sentence; an unwritable directory keeps the first error in view."""
    with contextlib.suppress(OSError):
        (folder / ERROR).write_text(text)
