"""Workers end with the process that started them, also where it is killed and can tell them nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
POOL = """
import os, sys, time
from multimodal_lab.data.packed.pool import pool_of

def work(_):
    open(os.path.join(sys.argv[1], str(os.getpid())), "w")
    time.sleep(120)

with pool_of(2, None) as pool:
    list(pool.map(work, range(2)))
"""
SCAN = """
import os, sys, time
from types import SimpleNamespace
from multimodal_lab.data.loading import unreadable

def require(row):
    open(os.path.join(sys.argv[1], str(os.getpid())), "w")
    time.sleep(120)

samples = SimpleNamespace(table=range(9), require=require, drop=lambda row: None, fitted={}, called=str)
unreadable.find(samples, "skip", 1.0)
"""


def lives(pid):
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
@pytest.mark.parametrize(
    ("code", "count"), [(POOL, 2), (SCAN, 1)], ids=["a pool that packs", "a look for unreadable files"]
)
def test_workers_of_a_killed_process_end(tmp_path, code, count):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=env)
    end = time.monotonic() + 60
    while len(found := [int(p.name) for p in tmp_path.iterdir()]) < count and time.monotonic() < end:
        time.sleep(0.05)
    assert len(found) == count
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    end = time.monotonic() + 15
    while any(map(lives, found)) and time.monotonic() < end:
        time.sleep(0.05)
    left = [pid for pid in found if lives(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left
