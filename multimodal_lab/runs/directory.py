"""The run directory: a unique name, and a lock for a single writer."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import socket
import time
from pathlib import Path

from multimodal_lab import files
from multimodal_lab.runs import guarded
from multimodal_lab.runs.hashes import SUMMARY
from multimodal_lab.runs.lease import LOCK as LOCK
from multimodal_lab.runs.lease import Held as Held
from multimodal_lab.runs.lease import claimed_at, take
from multimodal_lab.runs.lease import holder as holder
from multimodal_lab.runs.lease import release as release
from multimodal_lab.runs.lock_owner import DirectoryError as DirectoryError
from multimodal_lab.runs.lock_owner import started
from multimodal_lab.text import meant

CONFIG = "config.yaml"
MOST = 1 << 24  # bytes of the traceback of a failure
ERROR = "error.txt"
METRICS, CHECKPOINTS = "metrics.jsonl", "checkpoints"


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
    return f"torchrun_{socket.gethostname()}_{agent}_{started(agent)}"


def claim(folder: Path, resume: bool) -> None:
    """Make this process the only writer of `folder`; call `release` at the end.

    A directory that a run has already used is refused unless `resume`; one that a living process holds, always. The lease
    of a process that died is taken over, see `lease`. A failure of an earlier attempt is set aside: whoever asks for
    `error.txt` asks for this one's. Ranks other than 0 own nothing.
    """
    if int(os.environ.get("RANK", "0")) > 0:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _require_files(folder)
        if used(folder) and not resume:
            raise DirectoryError(f"dir={folder}: a run is here already; give another dir, or resume=auto to resume it")
        take(folder)
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


def note_failure(folder: Path, text: str) -> bool:
    """Save a failure's traceback, ending with the reported sentence; whether it stands there.

    An unwritable directory keeps the first error in view. A run that was finished before this process claimed it
    stays as it is, unless it was trained on.
    """
    with contextlib.suppress(OSError):
        if (folder / SUMMARY).exists() and (folder / LOCK).exists():
            claimed = claimed_at(folder)
            if all(p.stat().st_mtime_ns < claimed for p in (folder / SUMMARY, folder / METRICS) if p.exists()):
                return False
        files.write_text(folder / ERROR, text)
        return True
    return False


def last_error(folder: Path) -> str:
    """The sentence that the failure in `folder` ends with; "" where there is none."""
    try:
        lines = [
            line.strip() for line in guarded.read_bytes(folder / ERROR, MOST).decode(errors="replace").splitlines()
        ]
    except OSError:
        return ""
    return next((line for line in reversed(lines) if line), "")
