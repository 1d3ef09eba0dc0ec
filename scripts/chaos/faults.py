"""Fail, and kill, at each system call of a save: a valid checkpoint must remain, and every error must be reported.

The calls are the kernel's own, failed by strace in a process that runs the real save; needs strace and leave to use it.
"""

from __future__ import annotations

import ctypes
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import _trial
import torch
from torch import nn

from multimodal_lab.checkpoint.manifest import CheckpointError
from multimodal_lab.checkpoint.state import State, TrainingState
from multimodal_lab.checkpoint.store import CheckpointStore, load
from multimodal_lab.train.ema import Average
from multimodal_lab.train.meters import Meters

CALL = re.compile(r"^(?:\[pid +\d+\] |\d+ +)?(\w+)\((.*)")
ERRORS = ("ENOSPC", "EIO", "EACCES")
MAY_PASS = {"close", "newfstatat", "fstat", "stat", "lstat", "statx", "lseek", "ioctl", "fcntl", "faccessat2"}
MAY_PASS |= {"getdents64"}  # a listing that fails once is tried again


def main() -> None:
    a = _trial.arguments(__doc__, most=0, seed=0)
    if not usable():
        print("faults: strace is not here, or may not be used: NOT TRIED")
        sys.exit(3)
    with tempfile.TemporaryDirectory() as base:
        fresh = Path(base, "fresh", "checkpoints")
        CheckpointStore(fresh, 1).save(parts(1))
        points = calls(fresh, Path(base, "traced", "checkpoints"))
        trials = [(call, n, how) for call, n in points for how in (*ERRORS, "KILL")]
        if a.most:
            random.seed(a.seed)
            trials = random.sample(trials, a.most)
        lost, outcomes = [], {"old": 0, "new": 0, "loud": 0, "never": 0}
        for i, (call, n, how) in enumerate(trials):
            folder = Path(base, str(i), "checkpoints")
            shutil.copytree(fresh, folder)
            wrong = judged(folder, call, n, how, outcomes)
            lost += [f"{how} at {call} number {n}: {x}" for x in wrong]
            shutil.rmtree(folder.parent)
        told = f"{len(points)} calls of a save, {len(trials)} faults ({', '.join(ERRORS)} or SIGKILL)"
        told += (
            f"; {outcomes['loud']} told as errors, {outcomes['old']} left the old checkpoint, {outcomes['new']} the new"
        )
        if outcomes["never"]:  # what a save opens varies by a call or two with what is cached
            told += f"; {outcomes['never']} fell on a call that this save did not make"
        if outcomes["never"] > max(1, len(trials) // 10):
            lost.append(f"{outcomes['never']} of {len(trials)} faults did not happen")
        _trial.finish("faults", lost, told)


def parts(step: int) -> TrainingState:
    """A small training's parts; the weights tell the step."""
    torch.manual_seed(step)
    net = nn.Linear(64, 64)
    optimizer = torch.optim.AdamW(net.parameters())
    for p in net.parameters():
        optimizer.state[p] = {"step": torch.tensor(1.0), "exp_avg": p.detach().clone(), "exp_avg_sq": p.detach() ** 2}
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    average, meters = Average(net, 0.9), Meters(torch.device("cpu"))
    return {
        "model": net, "optimizer": optimizer, "scaler": scaler, "ema": average, "meters": meters,
        "state": State(step=step),
    }  # fmt: skip


def usable() -> bool:
    """Whether strace is here and may look at a process of ours."""
    if shutil.which("strace") is None:
        return False
    done = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True)
    return done.returncode == 0


def calls(fresh: Path, folder: Path) -> list[tuple[str, int]]:
    """(name, ordinal) of every system call of one save that touches the checkpoints."""
    shutil.copytree(fresh, folder)
    code, text = saved(folder, ["-y", "-e", "trace=%file,%desc"])
    assert code == 0, text
    counts: dict[str, int] = {}
    found = []
    for line in text.splitlines():
        if match := CALL.match(line):
            name = match[1]
            counts[name] = counts.get(name, 0) + 1
            if str(folder) in match[2]:
                found.append((name, counts[name]))
    return found


def saved(folder: Path, options: list[str]) -> tuple[int, str]:
    """Save step 2 in a child that strace holds; its exit code and strace's report, with what the child printed."""
    go_r, go_w = os.pipe()
    report = folder.parent / "strace.txt"
    pid = os.fork()
    if pid == 0:
        _child(folder, go_r)
    command = ["strace", "-f", "-o", str(report), *options, "-p", str(pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    said = tracer.stderr.readline()
    if "attached" not in said:
        os.kill(pid, signal.SIGKILL)
    os.write(go_w, b"go")
    os.close(go_r)
    os.close(go_w)
    code = _trial.wait(pid, 60)
    tracer.wait(timeout=60)
    child = folder.parent / "child.txt"
    return code, report.read_text() + (child.read_text() if child.exists() else "")


def _child(folder: Path, go: int) -> None:
    ctypes.CDLL(None).prctl(0x59616D61, -1, 0, 0, 0)  # PR_SET_PTRACER: strace may attach though it is no parent
    code = 1
    new = parts(2)
    said = ""
    os.read(go, 2)
    try:
        CheckpointStore(folder, 1).save(new)
        code = 0
    except CheckpointError as error:
        code, said = 7, str(error)
    except BaseException as error:
        said = repr(error)
    finally:
        os.write(os.open(folder.parent / "child.txt", os.O_CREAT | os.O_WRONLY), said.encode())
        os._exit(code)


def opened_again(text: str) -> bool:
    """Whether what failed was an opening to read that was tried again, and then worked."""
    lines = [line.partition(" = ")[::2] for line in text.splitlines() if "O_RDONLY" in line]
    failed = [i for i, (_, result) in enumerate(lines) if "INJECTED" in result]
    return bool(failed) and any(
        call.split(" ", 1)[-1] == lines[failed[0]][0].split(" ", 1)[-1] and not result.startswith("-1")
        for call, result in lines[failed[0] + 1 :]
    )


def judged(folder: Path, call: str, n: int, how: str, outcomes: dict[str, int]) -> list[str]:
    """What went wrong with one fault."""
    fault = "signal=KILL" if how == "KILL" else f"error={how}"
    code, text = saved(folder, ["-e", f"trace={call}", "-e", f"inject={call}:{fault}:when={n}"])
    if "INJECTED" not in text and code != -signal.SIGKILL:
        outcomes["never"] += 1
        return [] if code == 0 else [f"exit {code} without a fault: {text[-300:]}"]
    wrong = []
    if how == "KILL":
        wrong += [] if code == -signal.SIGKILL else [f"exit {code}"]
    elif code not in (0, 7) or (code == 0 and call not in MAY_PASS and not opened_again(text)):
        wrong.append(f"no clear error: exit {code}: {text[-300:]}")
    outcomes["loud"] += code == 7
    store = CheckpointStore(folder, 1)
    newest = store.newest()
    if newest is None:
        return [*wrong, "no checkpoint is left"]
    step = 2 if newest.name.startswith("step_00000002") else 1
    if code == 0 and step != 2:
        wrong.append("said to be saved, but it is not there")
    outcomes["new" if step == 2 else "old"] += 1
    loaded, truth = parts(9), parts(step)
    load(newest, loaded)
    if not all(torch.equal(v, truth["model"].state_dict()[k]) for k, v in loaded["model"].state_dict().items()):
        wrong.append("the weights loaded are not those saved")
    store.save(parts(3))  # and what a fault leaves behind does not stop the next save
    if store.newest() != folder / "step_00000003":
        wrong.append("the next save failed")
    return wrong


if __name__ == "__main__":
    main()
