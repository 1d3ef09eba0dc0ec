"""Processes without seconds of imports: one process that has imported what every command imports, and forks.

A forked process has its own environment, folder, arguments, output and exit status, as a fresh one has. A test whose subject
is a fresh interpreter (what it imports, and when) starts one by `subprocess`.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import gc
import importlib
import json
import os
import pickle
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parents[1]
IMPORTED = (
    "multimodal_lab.experiment.run",
    "torch._dynamo",
    "torch.distributed",
    "matplotlib.pyplot",
    "pandas",
    "rich.console",
    "torchmetrics.functional.classification",  # of a first score, as the two below
    "sklearn.linear_model",
    "scipy.stats",
)
PACKAGES = ("multimodal_lab", "hydra_plugins", "hydra._internal.core_plugins")  # with every module of theirs
OWN = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
_forked = False  # whether this process is a fork


@cache
def _server() -> socket.socket:
    mine, its = socket.socketpair()
    if _forked:  # it has imported all that a server imports
        if not os.fork():
            mine.close()
            for kept in [*weakref.finalize._registry]:
                kept.detach()  # temporary folders are the session's: the end of a fork removes none
            _serve(its)
            os._exit(0)
        its.close()
        return mine
    command = [sys.executable, __file__, str(its.fileno())]
    subprocess.Popen(command, pass_fds=[its.fileno()], env={**os.environ, **OWN})  # it ends when this process does
    its.close()
    return mine


def command(module: str, words: Sequence[str], cwd: Path | None, env: Mapping[str, str], timeout: float = 280):
    """`python -m module words…` in `cwd`; gives the completed process with its output as text."""
    return together(module, words, cwd, [env], timeout)[0]


def ranks(module: str, words: Sequence[str], nprocs: int, timeout: float = 280):
    """The same on so many ranks, with what torchrun sets in their environment."""
    home = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    world = {"WORLD_SIZE": str(nprocs), "LOCAL_WORLD_SIZE": str(nprocs), **home, **os.environ, **OWN}
    each = [{**world, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(nprocs)]
    return together(module, words, None, each, timeout)


def together(
    module: str, words: Sequence[str], cwd: Path | None, envs: Sequence[Mapping[str, str]], timeout: float = 280
):
    """The same at once in every one of `envs`; where one fails the others are ended."""
    own = {"module": module, "argv": ["", *words], "cwd": str(cwd or Path.cwd())}
    paths = [env["PYTHONPATH"].split(os.pathsep) for env in envs]
    envs = [{**env, "PYTHONSAFEPATH": "1"} for env in envs]  # as the package itself leaves the working directory
    with tempfile.TemporaryDirectory() as said:
        jobs = [{**own, "env": env, "path": path, "said": said} for env, path in zip(envs, paths)]
        codes = _run(jobs, timeout)
        text = [[Path(said, f"{i}.{name}").read_text() for name in ("out", "err")] for i in range(len(jobs))]
    return [subprocess.CompletedProcess([module, *words], code, *t) for code, t in zip(codes, text)]


def spawn(fn: Callable[..., Any], args: Sequence[Any], nprocs: int, timeout: float = 280) -> None:
    """`fn(rank, *args)` in as many processes, as `torch.multiprocessing.spawn` calls it; fails where one fails."""
    path = [p for p in sys.path if p]
    with tempfile.TemporaryDirectory() as folder:
        jobs = [
            {"call": base64.b64encode(pickle.dumps((rank, *args))).decode(), "of": [fn.__module__, fn.__name__],
             "cwd": str(Path.cwd()), "env": dict(os.environ), "path": path, "said": folder}
            for rank in range(nprocs)
        ]  # fmt: skip
        codes = _run(jobs, timeout)
        said = "\n".join(f.read_text()[-3000:] for f in sorted(Path(folder).iterdir()) if f.suffix == ".err")
    assert not any(codes), f"exit {codes}\n{said}"


class Begun:
    """A command that runs beside the test, with its output and errors in one; much of `subprocess.Popen`."""

    def __init__(self, module: str, words: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
        self._said = tempfile.TemporaryDirectory()
        path = env["PYTHONPATH"].split(os.pathsep)
        job = {"module": module, "argv": ["", *words], "cwd": str(cwd), "env": {**env, "PYTHONSAFEPATH": "1"},
               "path": path, "said": self._said.name, "one": True}  # fmt: skip
        (self.pid,) = _asked({"jobs": [job]}, 60)
        self.returncode: int | None = None

    def communicate(self, timeout: float) -> tuple[str, None]:
        """Wait for its end; what it said."""
        (self.returncode,) = _asked({"pids": [self.pid]}, timeout)
        return Path(self._said.name, "0.out").read_text(), None


def meeting(fn: Callable[..., Any], *args: Any, nprocs: int = 2) -> None:
    """`fn(rank, port, *args)` in as many processes, which meet at a free port of this machine."""
    spawn(fn, (_free_port(), *args), nprocs)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def _run(jobs: list[dict[str, Any]], timeout: float) -> list[int]:
    return _asked({"pids": _asked({"jobs": jobs}, timeout)}, timeout)


def _asked(what: dict[str, Any], timeout: float) -> list[int]:
    """Of jobs the process ids of their forks, of those the exit statuses."""
    server = _server()
    try:
        server.sendall(json.dumps(what).encode() + b"\n")
        if not select.select([server], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(str(what)[:200], timeout)
        with server.makefile("r") as answer:
            found: list[int] = json.loads(answer.readline())
    except BaseException:
        _server.cache_clear()
        server.close()  # it ends what still runs, and itself
        raise
    return found


def _serve(conn: socket.socket) -> None:
    """Fork for every job, and tell the exit statuses of those waited for; of several, the others end where one fails."""
    base = [p for p in sys.path if p not in (str(ROOT), str(Path(__file__).parent))]
    lines = conn.makefile("r", buffering=1)
    codes: dict[int, int | None] = {}  # None of what still runs
    while line := lines.readline():
        asked = json.loads(line)
        pids = asked.get("pids", [])
        for number, job in enumerate(asked.get("jobs", ())):
            if not (pid := os.fork()):
                lines.close()
                conn.close()
                _be(job, number, base)
            pids.append(pid)
            codes[pid] = None
        while "pids" in asked and None in (own := [codes[pid] for pid in pids]):
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid:
                codes[pid] = os.waitstatus_to_exitcode(status)
            elif any(own) or select.select([conn], [], [], 0.02)[0]:  # one has failed, or who asked is gone
                _end(pid for pid in pids if codes[pid] is None)
        answer = [codes.pop(pid) for pid in pids] if "pids" in asked else pids
        conn.sendall(json.dumps(answer).encode() + b"\n")
    _end(pid for pid, code in codes.items() if code is None)
    return None


def leave_disk() -> None:
    """No test cuts the power, and to wait for the disk is a tenth of a small run; what is no open file still fails."""
    os.fsync = os.fstat  # type: ignore[assignment]


def _import() -> None:
    leave_disk()
    for name in IMPORTED:
        importlib.import_module(name)
    for package in map(importlib.import_module, PACKAGES):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                with contextlib.suppress(ImportError):  # of what needs an extra that is not installed
                    importlib.import_module(found.name)
    _warm()
    gc.collect()
    gc.freeze()  # no fork's collection walks it, and so copies its pages


def _end(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _warm() -> None:
    """Compose and check a run: parsers and caches fill, of which none may tell what a fork's own path has installed."""
    from hydra._internal.sources_registry import SourcesRegistry
    from hydra.core.plugins import Plugins
    from hydra.core.singleton import Singleton

    from multimodal_lab.config import extensions, resolvers, targets
    from multimodal_lab.config.check import check_command

    resolvers.register()
    check_command(["fusion=attention"])
    for cached in (
        targets.entry_points, targets.extensions, targets.allowed, targets.near_allowed, extensions.extension_problems,
    ):  # fmt: skip
        cached.cache_clear()
    for kind in (Plugins, SourcesRegistry):
        Singleton._instances.pop(kind, None)  # Hydra looks for plugins anew


def _be(job: dict[str, Any], number: int, base: list[str]) -> NoReturn:
    """In the fork: become the process that was asked for, and end as it does, but for the clean-up of what was imported."""
    global _forked
    _forked = True
    code = 0
    try:
        _call(job, number, base)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _call(job: dict[str, Any], number: int, base: list[str]) -> None:
    os.setsid()
    said = Path(job["said"])
    out = said / f"{number}.out"
    for fd, at in enumerate((os.devnull, out, out if job.get("one") else said / f"{number}.err")):
        file = os.open(at, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(file, fd)
        os.close(file)
    os.environ.clear()
    os.environ.update(job["env"])
    os.chdir(job["cwd"])
    sys.path[:] = [*dict.fromkeys([*filter(None, job["path"]), *base])]
    importlib.invalidate_caches()
    if "of" in job:
        module, name = job["of"]
        getattr(importlib.import_module(module), name)(*pickle.loads(base64.b64decode(job["call"])))
        return
    sys.argv = job["argv"]
    if not hasattr(sys.modules.get(job["module"]), "__path__"):
        sys.modules.pop(job["module"], None)  # it is imported by its name, and now run
    runpy.run_module(job["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    sys.modules["forked"] = sys.modules["__main__"]  # a test session in a fork needs no server with imports of its own
    _import()
    _serve(socket.socket(fileno=int(sys.argv[1])))
