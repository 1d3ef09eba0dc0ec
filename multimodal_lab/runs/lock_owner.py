"""Who holds the lock of a run directory: its process, as it says in `run.lock`."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from multimodal_lab import files
from multimodal_lab.runs import guarded

MOST = 1 << 16  # bytes of a lock
CLAIMED = "claimed"  # when the lock was made, in ns of the file system: later it is renewed
LOCKED = {"pid": int, "host": str, "boot": str, "started": str}
NAMESPACE = "namespace"  # of process numbers; locks of earlier versions lack it, and are never renewed


class DirectoryError(RuntimeError):
    """A run directory that can't be used: which, who holds it, what to do."""


def me() -> dict[str, Any]:
    """What a lock says of this process."""
    own = {"pid": os.getpid(), "host": socket.gethostname(), "boot": _boot(), "started": started(os.getpid())}
    return {**own, NAMESPACE: _namespace()}


def started(pid: int) -> str:
    """When a process began, in clock ticks since boot: with the pid it identifies the process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def is_mine(owner: dict[str, Any]) -> bool:
    """Whether this process is the owner."""
    return bool(owner) and all(owner.get(k) == v for k, v in me().items())


def is_near(owner: dict[str, Any]) -> bool:
    """Whether this process can look the owner up: same machine since its start, same numbers of processes."""
    here = owner["host"] == socket.gethostname() and owner["boot"] == _boot() and owner["started"] != ""
    return bool(here and owner.get(NAMESPACE, _namespace()) == _namespace())


def called(owner: dict[str, Any]) -> str:
    """A holder by its number, and where that is."""
    where = "on" if owner["host"] != socket.gethostname() else "of another container or start of"
    return f"{owner['pid']} {where} {owner['host']}"


def read(path: Path) -> dict[str, Any]:
    """What a lock says of its process; {} where there is none, or one died before it could say.

    A damaged one may be a living process's: `DirectoryError`.
    """
    try:
        if path.is_file() and not path.stat().st_size:
            return {}
        found = guarded.read_json(path, MOST)
        kinds = {**LOCKED, **({NAMESPACE: str} if isinstance(found, dict) and NAMESPACE in found else {})}
        if isinstance(found, dict) and {k: type(found.get(k)) for k in kinds} == kinds:
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


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
