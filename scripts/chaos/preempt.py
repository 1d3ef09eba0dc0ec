"""Send SIGTERM to the process group of a training at random times: it must save, exit soon with code 75, and lose nothing."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import tempfile
import time
from pathlib import Path

import _trial

from multimodal_lab.checkpoint import store

LIMIT = 5.0  # seconds from the signal to the end, the save included


def main() -> None:
    a = _trial.arguments(__doc__, times=30, epochs=30, seed=0)
    random.seed(a.seed)
    lost: list[str] = []
    slowest, phases = 0.0, {"in an epoch": 0, "in a validation": 0, "outside the loop": 0}
    with tempfile.TemporaryDirectory() as base:
        whole, broken = Path(base, "whole"), Path(base, "broken")
        knobs = (f"train.epochs={a.epochs}", "data.workers=2", "train.monitor=val/total")
        began = time.monotonic()
        assert _trial.wait(_trial.start(_trial.config(whole, *knobs))) == 0, _trial.tail(whole)
        took = time.monotonic() - began
        cfg = _trial.config(broken, *knobs, "resume=auto")
        while (i := sum(phases.values())) < a.times:
            pid = _trial.start(cfg, group=True)
            time.sleep(random.uniform(0.05, 1.0) * max(0.8, 1.5 * took / a.times))
            began = time.monotonic()
            os.killpg(pid, signal.SIGTERM)
            code = _trial.wait(pid)
            slowest = max(slowest, time.monotonic() - began)
            if code == 0:  # it came to its end before the signal: judge it, and stop another
                lost += _judged(whole, broken)
                shutil.rmtree(broken)
                continue
            if code != 75:
                lost.append(f"signal {i + 1}: exit {code}: {_trial.tail(broken)}")
            phase, wrong = _where(broken)
            phases[phase] += 1
            lost += wrong
        if code := _trial.wait(_trial.start(cfg)):
            lost.append(f"the last resume ended with {code}: {_trial.tail(broken)}")
        lost += _judged(whole, broken)
    if slowest > LIMIT:
        lost.append(f"one took {slowest:.1f} s to end")
    told = f"{sum(phases.values())} signals ({', '.join(f'{n} {k}' for k, n in phases.items())})"
    _trial.finish("preempt", lost, f"{told}; the slowest end took {slowest:.1f} s")


def _judged(whole: Path, broken: Path) -> list[str]:
    one, two = _trial.outcome(whole), _trial.outcome(broken)
    return [f"{k} differs" for k in one if one[k] != two.get(k)]


def _where(folder: Path) -> tuple[str, list[str]]:
    """Where the last signal hit; the step that was said to be saved must be the newest checkpoint's."""
    said = re.findall(r"stopped by SIGTERM( at step (\d+), saved)?", _trial.tail(folder))
    if not said or not said[-1][0]:
        return "outside the loop", []
    newest = store.CheckpointStore(folder / "checkpoints", 2).newest()
    state = {"step": -1, "due": False} if newest is None else store.read_state(newest)
    wrong = [] if state["step"] == int(said[-1][1]) else [f"step {said[-1][1]} was said to be saved, {newest} is there"]
    return "in a validation" if state["due"] else "in an epoch", wrong


if __name__ == "__main__":
    main()
