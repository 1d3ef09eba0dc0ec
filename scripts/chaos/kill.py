"""Kill a training with SIGKILL many times, partly inside a save, and resume: results must be bit-exact."""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path

import _trial


def main() -> None:
    a = _trial.arguments(__doc__, kills=50, saves=12, epochs=60, seed=0)
    random.seed(a.seed)
    with tempfile.TemporaryDirectory() as base:
        whole, broken = Path(base, "whole"), Path(base, "broken")
        knobs = (f"train.epochs={a.epochs}", "train.keep_last=2")
        began = time.monotonic()
        assert _trial.wait(_trial.start(_trial.config(whole, *knobs))) == 0, _trial.tail(whole)
        took = time.monotonic() - began
        cfg = _trial.config(broken, *knobs, "resume=auto")
        lost, killed, inside, ended = [], 0, 0, 0
        while killed < a.kills or not ended:
            before = _newest(broken / "checkpoints")
            pid = _trial.start(cfg)
            if inside < a.saves:
                _within_save(pid, broken / "checkpoints")
            elif killed < a.kills:
                _sometime(pid, 1.5 * took / a.kills)
            code = _trial.wait(pid)
            if code == 0:  # it came to its end between two kills: judge it, and break another
                ended += 1
                lost += _judged(whole, broken)
                shutil.rmtree(broken)
                continue
            if code != -signal.SIGKILL:
                lost.append(f"a resume ended with {code}: {_trial.tail(broken)}")
                break
            killed += 1
            inside += any((broken / "checkpoints").glob(".tmp_*"))
            if (now := _newest(broken / "checkpoints")) < before:
                lost.append(f"kill {killed}: the newest checkpoint went back from step {before} to {now}")
        told = f"{killed} kills, {inside} inside a save, {ended} trainings to their end"
        _trial.finish("kill", lost, f"{told}; weights, average, moments and log compared with the unbroken run's")


def _judged(whole: Path, broken: Path) -> list[str]:
    """What differs from the unbroken run."""
    one, two = _trial.outcome(whole), _trial.outcome(broken)
    return [f"{k} differs" for k in one if one[k] != two.get(k)] + _rows(whole, broken)


def _sometime(pid: int, longest: float) -> None:
    """Kill at a random time."""
    time.sleep(random.uniform(0, longest))
    _kill(pid)


def _within_save(pid: int, folder: Path) -> None:
    """Kill a random moment after a save has begun."""
    skip, seen = random.randrange(3), ""
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        found = next((e.name for e in os.scandir(folder) if e.name.startswith(".tmp_")), "") if folder.is_dir() else ""
        if found and found != seen:
            skip, seen = skip - 1, found
            if skip < 0:
                time.sleep(random.uniform(0, 0.004))
                _kill(pid)
                return


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)  # a child that has ended and is not waited for yet takes no harm


def _newest(folder: Path) -> int:
    return max((int(p.name.split("_")[1]) for p in folder.glob("step_*")), default=0)


def _rows(whole: Path, broken: Path) -> list[str]:
    one, two = ((f / "metrics.jsonl").read_text().splitlines() for f in (whole, broken))
    found = [f"row {i} of the log: {x[:60]} became {y[:60]}" for i, (x, y) in enumerate(zip(one, two)) if x != y]
    return found + ([f"{len(two)} rows in the log instead of {len(one)}"] if len(one) != len(two) else [])


if __name__ == "__main__":
    main()
