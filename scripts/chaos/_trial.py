"""Helpers of the chaos trials: run a real experiment in a process that may die at any moment, and inspect what it left."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

os.environ["OMP_NUM_THREADS"] = "1"  # forked children: no pool of threads may exist before
os.environ.setdefault("HF_HUB_OFFLINE", "1")
ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import kornia  # noqa: E402, F401  imported once, here, and not by every child
import sklearn.neighbors  # noqa: E402, F401
import torch._dynamo  # noqa: E402, F401
from hydra import compose, initialize_config_dir  # noqa: E402
from omegaconf import DictConfig  # noqa: E402

from multimodal_lab import run  # noqa: E402
from multimodal_lab.config import resolvers  # noqa: E402
from multimodal_lab.experiment import run as experiment  # noqa: E402
from multimodal_lab.runs import directory  # noqa: E402
from multimodal_lab.train import resume  # noqa: E402

SMALL = [
    "data.source.individuals=32", "data.source.size=24", "data.source.species=4", "data.split.stratify=species",
    "data.batch_size=8", "backbone.widths=[16,32]", "fusion.width=32", "fusion.dropout=0.1", "log=none",
    "figures=[]", "evaluate=[collapse]",
    "train.ema=0.99", "train.log_every=3",
]  # fmt: skip
CODE = resume.source_hash()
resume.source_hash = lambda: CODE  # the children run what is imported here, whatever is edited meanwhile


def config(folder: Path, *overrides: str) -> DictConfig:
    """A small real experiment on the built-in specimens."""
    resolvers.register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", overrides=[*SMALL, f"dir={folder}", *overrides])


def start(cfg: DictConfig, group: bool = False, **environment: str) -> int:
    """Run `cfg` in a process (or a process group) of its own, which writes to `<folder>.log`; returns its id."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        if group:
            os.setpgid(0, 0)
        _child(cfg, environment)
    return pid


def start_ranks(cfg: DictConfig, world: int) -> list[int]:
    """The same on `world` ranks, as torchrun would start them; their ids."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = str(s.getsockname()[1])
    common = {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [start(cfg, RANK=str(r), LOCAL_RANK=str(r), **common) for r in range(world)]


def _child(cfg: DictConfig, environment: dict[str, str]) -> NoReturn:
    os.environ.update(environment)
    folder, code = Path(cfg.dir), 1
    fd = os.open(f"{folder}.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    signal.signal(signal.SIGTERM, run.leave)
    try:
        directory.claim(folder, cfg.resume != "never")
        experiment.run(cfg, folder)
        code = 0
    except BaseException as error:
        code = 75 if type(error).__name__ == "Interrupted" else error.code if isinstance(error, SystemExit) else 1
        traceback.print_exc()
    finally:
        directory.release(folder)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait(pid: int, limit: float = 300.0) -> int:
    """The exit code of a child, minus the signal's number if one killed it; past the limit it is killed."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise TimeoutError(f"process {pid} was still running after {limit:.0f} s")


def outcome(folder: Path) -> dict[str, str]:
    """What must not differ: a hash of weights, average and moments of the last checkpoint, and of the rows of the log."""
    last = max((folder / "checkpoints").glob("step_*"))
    return {
        **{p.name: _hash(p) for p in sorted(last.glob("*.safetensors"))},
        "step": last.name.split("_")[1],
        "metrics.jsonl": _hash(folder / "metrics.jsonl"),
    }


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def finish(name: str, lost: list[str], told: str) -> NoReturn:
    """Say what happened; exit 1 if anything was lost."""
    print(f"{name}: {told}: " + ("NOTHING LOST" if not lost else f"{len(lost)} LOST"))
    for line in lost[:20]:
        print(f"  lost: {line}")
    sys.exit(bool(lost))


def tail(folder: Path, lines: int = 8) -> str:
    """The end of what a child said."""
    path = Path(f"{folder}.log")
    return "\n".join(path.read_text().splitlines()[-lines:]) if path.exists() else ""


def arguments(doc: str | None, **defaults: Any) -> Any:
    """Command-line options with their defaults, the types those of the defaults."""
    import argparse

    parser = argparse.ArgumentParser(description=doc)
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    return parser.parse_args()
