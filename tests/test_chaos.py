"""The trials of scripts/chaos, cut short: real kills, real signals, real system calls that fail."""

import os
import re
import subprocess
import sys
from pathlib import Path

import forked
import pytest

CHAOS = Path(__file__).parents[1] / "scripts" / "chaos"
TRIALS = ("kill", "damage", "faults", "preempt", "ranks")


def test_sigkills_change_no_bit_of_weights_average_moments_or_log():
    """Three, one of them inside a save; the whole trial, of 50, is `make chaos`."""
    words = ["--kills", "3", "--saves", "1", "--epochs", "4"]
    env = {**os.environ, **forked.OWN, "PYTHONPATH": f"{CHAOS}:{forked.ROOT}"}
    done = forked.command("kill", words, None, env)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    kills, inside, ended = map(int, re.findall(r"\d+", done.stdout)[:3])
    assert (kills >= 3, inside >= 1, ended >= 1) == (True, True, True), done.stdout
    assert done.stdout.endswith("NOTHING LOST\n")


@pytest.mark.slow
def test_kills_damage_faults_signals_and_lost_ranks_change_no_bit():
    command = [sys.executable, str(CHAOS / "_short.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    said = done.stdout.splitlines()
    print(done.stdout, done.stderr[-2000:])
    assert done.returncode == 0
    for name in TRIALS:
        (line,) = [x for x in said if x.startswith(f"{name}:")]
        assert line.endswith("NOTHING LOST") or (name == "faults" and line.endswith("NOT TRIED")), line


@pytest.mark.slow
def test_a_killed_rank_ends_the_whole_job_and_leaves_no_process(tmp_path):
    """As users start it: torchrun and the command line."""
    import signal
    import time

    from small import SMALL

    words = [*SMALL, "train.epochs=1000", "train.log_every=1", f"dir={tmp_path / 'run'}"]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "multimodal_lab.run"]
    env = {**os.environ, "PYTHONPATH": str(CHAOS.parents[1]), "OMP_NUM_THREADS": "1", "CHAOS_TEST": str(tmp_path)}
    with (tmp_path / "log").open("w") as log:
        job = subprocess.Popen([sys.executable, *launcher, *words], env=env, stdout=log, stderr=log)
        end = time.monotonic() + 120
        while not (tmp_path / "run" / "metrics.jsonl").exists() and time.monotonic() < end:
            time.sleep(0.2)
        ranks = [p for p in members(tmp_path) if p != job.pid]
        assert len(ranks) == 2, (tmp_path / "log").read_text()[-2000:]
        os.kill(ranks[1], signal.SIGKILL)
        assert job.wait(60) != 0
    assert members(tmp_path) == []


def members(mark):
    """Processes whose environment has our mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"CHAOS_TEST={mark}".encode() in (path / "environ").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return sorted(found)
