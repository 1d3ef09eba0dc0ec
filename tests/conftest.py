"""Small real things that many tests share: specimens, a system composed from conf/, a run from the command line."""

import errno
import gc
import os
import subprocess
import sys
from pathlib import Path

import forked
import pytest
import torch
from small import SMALL

from multimodal_lab import files
from multimodal_lab.config import compose, resolvers

ROOT = Path(__file__).parents[1]
os.environ.setdefault("HF_HUB_OFFLINE", "1")
if not torch.cuda.is_available():
    os.environ.setdefault(
        "TRITON_INTERPRET", "1"
    )  # kernels are run by Triton's interpreter, which is chosen at its import
forked.leave_disk()
resolvers.register()
gc.disable()  # while thousands of tests are collected


def pytest_collection_finish():
    """What is imported and collected stays to the end: no later collection of garbage walks it."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_unconfigure():
    gc.unfreeze()  # or C++ bindings take what is left at the end of the process for leaks


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """What runs remember of their data stays with the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLCONFIGDIR", str(Path("~/.cache/matplotlib").expanduser()))  # its list of fonts takes seconds
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def composed():
    """A function of overrides to the composed config, small unless `small=False`."""

    def make(*overrides: str, small: bool = True):
        return compose.composed([*(SMALL if small else ()), *overrides])

    return make


@pytest.fixture(scope="session")
def cli():
    """Run `python -m multimodal_lab.<module> …`, in a fork unless `fresh`; gives the completed process."""

    def call(*given: str, module="run", small=True, check=True, cwd: Path | None = None, fresh=False, **extra: str):
        flags = [w for w in given if w.startswith("-")]
        rest = [w for w in given if not w.startswith("-")]
        words = [*flags, *(SMALL if small else ()), *rest]
        env = {**os.environ, **forked.OWN, **extra}
        if fresh:
            command = [sys.executable, "-m", f"multimodal_lab.{module}", *words]
            done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=env, timeout=280)
        else:
            done = forked.command(f"multimodal_lab.{module}", words, cwd, env)
        assert not check or done.returncode == 0, (
            f"exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
        )
        return done

    return call


@pytest.fixture
def failing(monkeypatch):
    """`failing(name, times)`: to open a file of that name fails so often, as on a disk or network that has a bad moment."""
    monkeypatch.setattr(files, "WAITS", (0, 0, 0))
    whole, handle = Path.open, os.open

    def arrange(name: str, times: int = 1, code: int = errno.EIO):
        left = [times]

        def failed(path):
            if Path(path).name == name and left[0]:
                left[0] -= 1
                raise OSError(code, os.strerror(code), str(path))

        def opened(self, *args, **options):
            failed(self)
            return whole(self, *args, **options)

        def opened_handle(path, *args, **options):
            failed(path)
            return handle(path, *args, **options)

        monkeypatch.setattr(Path, "open", opened)
        monkeypatch.setattr(os, "open", opened_handle)
        return left

    return arrange
