"""Parallel launchers of one study on this machine (`study.jobs`)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HELPER = "MULTIMODAL_LAB_STUDY_HELPER"  # set in the others, so that they start none and leave the report to the first

SHARE = "MULTIMODAL_LAB_STUDY_THREADS"  # of each launcher, where the user did not say OMP_NUM_THREADS


def is_helper() -> bool:
    """Whether this process was started by `launchers`."""
    return HELPER in os.environ


def share_cores(count: int) -> None:
    """Give this process, and those it starts, one of `count` shares of the cores; torch reads it when it is first loaded."""
    if count > 1 and not is_helper():
        if "OMP_NUM_THREADS" not in os.environ:
            os.environ["OMP_NUM_THREADS"] = os.environ[SHARE] = str(max(1, _cores() // count))
        if "torch" in sys.modules:  # of a study that was derived from its data
            sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@contextmanager
def all_cores() -> Iterator[None]:
    """Meanwhile torch has the cores of all launchers, as the others wait; a number that the user gave stands."""
    share = os.environ.get(SHARE)
    if share is None:
        yield
        return
    import torch

    torch.set_num_threads(_cores())
    try:
        yield
    finally:
        torch.set_num_threads(int(share))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def launchers(folder: Path, count: int) -> Iterator[None]:
    """`count` - 1 processes that run this command beside this one, each with its share of the cores (`share_cores`).

    What they print goes to `folder/launcher-1.log` and so on. They are waited for; if this process stops before, so do they,
    and save first.
    """
    if count == 1 or is_helper():
        yield
        return
    command = [sys.executable, "-m", "multimodal_lab.run", *sys.argv[1:]]
    started = []
    for i in range(1, count):
        with (folder / f"launcher-{i}.log").open("wb") as log:
            started.append(
                subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, HELPER: str(i)})
            )
    try:
        yield
    except BaseException:
        for process in started:
            process.terminate()
        raise
    finally:
        for process in started:
            process.wait()
