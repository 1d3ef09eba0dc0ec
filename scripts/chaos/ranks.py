"""Several ranks: stop them, or kill one, and resume: bit-exact with the uninterrupted run, and no rank left behind."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import tempfile
import time
from pathlib import Path

import _trial

LIMIT = 60.0  # seconds that the others may live on after one was killed


def main() -> None:
    a = _trial.arguments(__doc__, worlds="1,2,3,4", stops=2, kills=2, epochs=6, seed=0)
    random.seed(a.seed)
    lost: list[str] = []
    slowest = 0.0
    for world in map(int, a.worlds.split(",")):
        with tempfile.TemporaryDirectory() as base:
            knobs = (f"train.epochs={a.epochs}", "data.batch_size=12", "train.accumulate_steps=1")
            whole, broken = Path(base, "whole"), Path(base, "broken")
            began = time.monotonic()
            codes = [_trial.wait(p) for p in _trial.start_ranks(_trial.config(whole, *knobs), world)]
            took = time.monotonic() - began
            if any(codes):
                lost.append(f"world {world}: exit {codes}: {_trial.tail(whole)}")
                continue
            cfg = _trial.config(broken, *knobs, "resume=auto")
            for trial in range(a.stops + a.kills):
                pids = _trial.start_ranks(cfg, world)
                time.sleep(random.uniform(0.3, 0.9) * took / 2)
                began = time.monotonic()
                if trial < a.stops:
                    lost += [f"world {world}: {x}" for x in _stopped(pids, broken)]
                else:
                    lost += [f"world {world}: {x}" for x in _killed(pids, random.randrange(world), broken)]
                    slowest = max(slowest, time.monotonic() - began)
            codes = [_trial.wait(p) for p in _trial.start_ranks(cfg, world)]
            one, two = _trial.outcome(whole), _trial.outcome(broken)
            lost += [f"world {world}: {k} differs; exit {codes}" for k in one if one[k] != two.get(k)]
    lost += _wrong_monitor()
    told = (
        f"{a.worlds} ranks, {a.stops} stops and {a.kills} killed ranks each; the last rank ended {slowest:.1f} s after"
    )
    _trial.finish("ranks", lost, told)


def _stopped(pids: list[int], folder: Path) -> list[str]:
    """SIGTERM to every rank, as torchrun and schedulers send it."""
    for pid in pids:
        _send(pid, signal.SIGTERM)
    codes = [_trial.wait(p) for p in pids]
    # a rank that is not in the loop yet leaves alone, and the others may end with an error because it is gone
    return [] if 75 in codes or not any(codes) else [f"exit {codes} after SIGTERM: {_trial.tail(folder)}"]


def _killed(pids: list[int], victim: int, folder: Path) -> list[str]:
    """SIGKILL to one rank: the others must end by themselves (torchrun would also end them)."""
    _send(pids[victim], signal.SIGKILL)
    found = []
    for rank, pid in enumerate(pids):
        try:
            code = _trial.wait(pid, LIMIT)
        except TimeoutError as error:
            found.append(f"rank {rank} lived on after rank {victim} was killed: {error}")
            continue
        if rank != victim and code == 75:
            found.append(f"rank {rank} said that all was saved")
    return found


def _wrong_monitor() -> list[str]:
    """A score to watch that does not exist: every rank must say so and end, before the first step."""
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base, "run")
        pids = _trial.start_ranks(_trial.config(folder, "train.monitor=val/nothing", "data.batch_size=12"), 2)
        codes = [_trial.wait(p, LIMIT) for p in pids]
        told = Path(f"{folder}.log").read_text().count("train.monitor=val/nothing: expected val/NAME")
        trained = (folder / "metrics.jsonl").exists()
    return [f"a wrong monitor: exit {codes}, told {told} times"] if codes != [1, 1] or told < 2 or trained else []


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


if __name__ == "__main__":
    main()
