"""The run directory: a unique name, and a lock for a single writer."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from multimodal_lab import files
from multimodal_lab.runs.hashes import SUMMARY
from multimodal_lab.text import meant

CONFIG = "config.yaml"
LOCK = "run.lock"
ERROR = "error.txt"
LOCKED = {"pid": int, "host": str, "boot": str, "started": str}
METRICS, CHECKPOINTS = "metrics.jsonl", "checkpoints"


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
    of a process that died is taken over. A failure of an earlier attempt is set aside: whoever asks for `error.txt` asks
    for this one's. Ranks other than 0 own nothing.
    """
    if int(os.environ.get("RANK", "0")) > 0:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _require_files(folder)
        if used(folder) and not resume:
            raise DirectoryError(f"dir={folder}: a run is here already; give another dir, or resume=auto to resume it")
        with _alone(folder):
            _lock(folder / LOCK)
        _set_aside(folder / ERROR)
    except OSError as error:
        raise unwritable("dir", folder, error) from error


def _require_files(folder: Path) -> None:
    """Refuse a directory that has a pipe, a device or a folder where a run has a file: writing there would never end."""
    for path in (folder / name for name in (CONFIG, METRICS, SUMMARY, ERROR, "data.json", "job.json")):
        try:
            files.require_regular(path)
        except OSError as error:
            raise DirectoryError(f"{path}: {error}; move it away, or give another dir") from None


def used(folder: Path) -> bool:
    """Whether a run is in `folder`; one that failed before it trained left its directory free."""
    return (folder / CONFIG).exists() and (trained(folder) or not (folder / ERROR).exists())


def trained(folder: Path) -> bool:
    """Whether a training has left anything in `folder` that belongs to its config."""
    return any((folder / name).exists() for name in (METRICS, SUMMARY, CHECKPOINTS))


def nothing_to_resume(folder: Path) -> str:
    """A line where `resume` will begin anew, as it would for a name with a typo; else nothing."""
    if (folder / CHECKPOINTS).is_dir():
        return ""
    runs = [p.parent.name for p in folder.parent.glob(f"*/{CHECKPOINTS}")]
    near = f" (nearest run: {folder.with_name(like)})" if (like := meant(folder.name, runs)) else ""
    return f"resume: there is no run to resume in {folder}, so a new one begins{near}\n"


def _set_aside(path: Path) -> None:
    """Rename a file to the first of NAME.1.txt, NAME.2.txt, … that is free."""
    free = (path.with_suffix(f".{n}{path.suffix}") for n in itertools.count(1))
    if path.exists():
        path.rename(next(p for p in free if not p.exists()))


def unwritable(key: str, folder: Path | str, error: OSError) -> DirectoryError:
    """The message for a `folder`, set by the config's `key`, that cannot be made or written."""
    return DirectoryError(f"{key}={folder}: can't be written ({error.strerror or error}); give a writable {key}=…")


def release(folder: Path) -> None:
    """Release the directory, if this process holds it."""
    with contextlib.suppress(OSError, DirectoryError):
        if _owner(folder / LOCK) == _me():
            (folder / LOCK).unlink()


def holder(folder: Path) -> str | None:
    """The living process that writes to `folder`, if any; a lock that can't be read tells of none."""
    with contextlib.suppress(DirectoryError):
        return _living(folder / LOCK)
    return None


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
    for _ in range(10):
        try:
            fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            if owner := _living(path):
                gone = f", or remove {path} if that machine is down" if " on " in owner else ""
                raise Held(
                    f"dir={path.parent}: process {owner} is writing here; wait for it or give another dir{gone}"
                ) from None
            path.unlink(missing_ok=True)
            continue
        with os.fdopen(fd, "w") as f:
            f.write(files.as_json(_me()))
        return
    raise DirectoryError(f"dir={path.parent}: {LOCK} keeps changing hands; give another dir")


def _me() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "boot": _boot(), "started": _started(os.getpid())}


def _living(path: Path) -> str | None:
    owner = _owner(path)
    if not owner:
        return None
    if owner["host"] != socket.gethostname():
        return f"{owner['pid']} on {owner['host']}"
    alive = owner["boot"] == _boot() and _started(owner["pid"]) == owner["started"] != ""
    return str(owner["pid"]) if alive else None


def _owner(path: Path) -> dict[str, Any]:
    """What a lock says of its process; {} where there is none, or one died before it could say.

    A damaged one may be a living process's: `DirectoryError`.
    """
    try:
        if path.is_file() and not path.stat().st_size:
            return {}
        found = files.read_json(path)
        if isinstance(found, dict) and {k: type(found.get(k)) for k in LOCKED} == LOCKED:
            return found
        why = f"expected {', '.join(LOCKED)} of a process"
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        if files.read_failure(error):
            raise
        why = str(error)
    raise DirectoryError(
        f"{path}: no lock that a run has written ({why}); remove it if no process writes to {path.parent}"
    )


def _boot() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


def _started(pid: int) -> str:
    """When a process began, in clock ticks since boot: with the pid it identifies the process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def note_failure(folder: Path, text: str) -> bool:
    """Save a failure's traceback, ending with the reported sentence; whether it stands there.

    An unwritable directory keeps the first error in view. A run that was finished before this process claimed it
    stays as it is, unless it was trained on.
    """
    with contextlib.suppress(OSError):
        if (folder / SUMMARY).exists() and (folder / LOCK).exists():
            now = (folder / LOCK).stat().st_mtime_ns
            if all(p.stat().st_mtime_ns < now for p in (folder / SUMMARY, folder / METRICS) if p.exists()):
                return False
        files.write_text(folder / ERROR, text)
        return True
    return False


def last_error(folder: Path) -> str:
    """The sentence that the failure in `folder` ends with; "" where there is none."""
    try:
        lines = [line.strip() for line in files.read_bytes(folder / ERROR).decode(errors="replace").splitlines()]
    except OSError:
        return ""
    return next((line for line in reversed(lines) if line), "")
