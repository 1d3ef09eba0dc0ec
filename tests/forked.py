"""Processes without seconds of imports: one process that has imported what every command imports, and forks.

A forked process has its own environment, folder, arguments, output and exit status, as a fresh one has. A test whose subject
is a fresh interpreter (what it imports, and when) starts one by `subprocess`.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import pickle
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
IMPORTED = (
    "multimodal_lab.experiment.run",
    "torch._dynamo",
    "torch.distributed",
    "matplotlib.pyplot",
    "pandas",
    "rich.console",
)
OWN = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@cache
def _server() -> socket.socket:
    mine, its = socket.socketpair()
    command = [sys.executable, __file__, str(its.fileno())]
    subprocess.Popen(command, pass_fds=[its.fileno()], env={**os.environ, **OWN})  # it ends when this process does
    its.close()
    return mine


def command(module: str, words: Sequence[str], cwd: Path | None, env: Mapping[str, str], timeout: float = 280):
    """`python -m module words…` in `cwd`; gives the completed process with its output as text."""
    return together(module, words, cwd, [env], timeout)[0]


def ranks(module: str, words: Sequence[str], nprocs: int, timeout: float = 280):
    """The same on so many ranks, with what torchrun sets in their environment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        home = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
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


def _run(jobs: list[dict[str, Any]], timeout: float) -> list[int]:
    server = _server()
    try:
        server.sendall(json.dumps(jobs).encode() + b"\n")
        if not select.select([server], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(str(jobs[0].get("argv") or jobs[0]["of"]), timeout)
        with server.makefile("r") as answer:
            codes: list[int] = json.loads(answer.readline())
    except BaseException:
        _server.cache_clear()
        server.close()  # it ends what still runs, and itself
        raise
    return codes


def _serve(conn: socket.socket) -> None:
    """Answer every line of jobs by their exit statuses; of several, the others end where one fails."""
    for name in IMPORTED:
        importlib.import_module(name)
    base = [p for p in sys.path if p not in (str(ROOT), str(Path(__file__).parent))]
    lines = conn.makefile("r", buffering=1)
    while line := lines.readline():
        jobs, pids = json.loads(line), []
        for number, job in enumerate(jobs):
            if not (pid := os.fork()):
                lines.close()
                conn.close()
                return _be(job, number, base)
            pids.append(pid)
        codes: dict[int, int] = {}
        while len(codes) < len(pids):
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid:
                codes[pid] = os.waitstatus_to_exitcode(status)
            elif select.select([conn], [], [], 0.02)[0]:
                _end(pids, codes)  # who asked is gone
            if any(codes.values()):
                _end(pids, codes)
        conn.sendall(json.dumps([codes[pid] for pid in pids]).encode() + b"\n")
    return None


def _end(pids: list[int], codes: Mapping[int, int]) -> None:
    for pid in (p for p in pids if p not in codes):
        os.kill(pid, signal.SIGKILL)


def _be(job: dict[str, Any], number: int, base: list[str]) -> None:
    """In the fork: become the process that was asked for."""
    os.setsid()
    said = Path(job["said"])
    for fd, at in enumerate((os.devnull, said / f"{number}.out", said / f"{number}.err")):
        file = os.open(at, os.O_RDWR | os.O_CREAT)
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
    runpy.run_module(job["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
