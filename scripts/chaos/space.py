"""Small real disks: too little space is refused before training; a disk that fills meanwhile is reported, nothing is lost."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import _trial

from multimodal_lab.checkpoint.store import CheckpointStore

WIDTHS = ("[8,16]", "[16,32]", "[32,64]")


def main() -> None:
    _trial.arguments(__doc__)
    with tempfile.TemporaryDirectory() as base, disk(Path(base, "try"), 1 << 20) as there:
        if not there:
            print("space: a tmpfs can't be mounted here (needs root): NOT TRIED")
            sys.exit(3)
    lost: list[str] = []
    slowest = 0.0
    for widths in WIDTHS:
        with tempfile.TemporaryDirectory() as base:
            knobs = ("train.epochs=40", "train.keep_last=1", f"backbone.widths={widths}")
            whole, small = Path(base, "whole"), Path(base, "small")
            assert _trial.wait(_trial.start(_trial.config(whole, *knobs))) == 0, _trial.tail(whole)
            size = sum(p.stat().st_size for p in max((whole / "checkpoints").glob("step_*")).iterdir())
            with disk(small, size * 3 // 2):
                began = time.monotonic()
                code = _trial.wait(_trial.start(_trial.config(small, *knobs)))
                slowest = max(slowest, time.monotonic() - began)
                if code != 1 or "bytes needed for checkpoints" not in _trial.tail(small):
                    lost.append(f"room for 1.5 checkpoints of {size:,} bytes: exit {code}: {_trial.tail(small)}")
            lost += [f"{size:,} bytes: {x}" for x in _filled(small, whole, size, knobs)]
    if slowest > 10:
        lost.append(f"the refusal took {slowest:.1f} s")
    _trial.finish(
        "space", lost, f"3 sizes refused within {slowest:.1f} s, 3 disks filled while training and freed again"
    )


def _filled(folder: Path, whole: Path, size: int, knobs: tuple[str, ...]) -> list[str]:
    """Fill the disk under a training, free it, resume: what went wrong."""
    with disk(folder, 4 * size + (1 << 20)):
        cfg = _trial.config(folder, *knobs, "resume=auto")
        pid = _trial.start(cfg)
        store = CheckpointStore(folder / "checkpoints", 1)
        while not store.all():
            time.sleep(0.01)
        filler = folder / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as f:
            while True:
                f.write(bytes(4096))
        code, said = _trial.wait(pid), _trial.tail(folder)
        wrong = [] if code == 1 and "No space left" in said else [f"on a full disk: exit {code}: {said}"]
        if store.newest() is None:
            wrong.append("no checkpoint is left")
        filler.unlink()
        code = _trial.wait(_trial.start(cfg))
        one = _trial.outcome(whole)
        two = _trial.outcome(folder) if code == 0 else {}
        return wrong + [f"{k} differs after the resume (exit {code})" for k in one if one[k] != two.get(k)]


@contextlib.contextmanager
def disk(folder: Path, size: int) -> Iterator[bool]:
    """A file system of `size` bytes at `folder`; whether it could be mounted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    there = subprocess.run(mount, capture_output=True).returncode == 0
    try:
        yield there
    finally:
        if there:
            subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


if __name__ == "__main__":
    main()
