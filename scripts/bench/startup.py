"""Benchmark: start-up time of the command line, in CPU seconds, and whether torch was imported.

python scripts/bench/startup.py
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile

from _measure import row

RUN = """import runpy, sys
try:
    runpy.run_module("multimodal_lab.run", run_name="__main__", alter_sys=True)
except SystemExit:
    pass
import sys
"""
TORCH = "print('torch' in sys.modules, file=sys.stderr)"
SWEEP = ["-m", "modality=rgb,uv,rgb_uv_stacked,rgb_uv", "fusion=separate,concat,attention", "seed=0,1,2"]
JOBS = """
import sys, time
from multimodal_lab import run
from multimodal_lab.config.check import check_command
check_command(["fusion=concat"])
t = time.process_time(); jobs = check_command(sys.argv[1:]); a = time.process_time() - t
t = time.process_time(); jobs.run(lambda cfg: 0.0); b = time.process_time() - t
print(1000 * a / 36, 1000 * b / 36)
"""


def cpu(words: list[str]) -> tuple[float, str]:
    """CPU seconds of one fresh process, and what it said of torch."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = f"import sys\nsys.argv = ['run', *{words!r}]\n{RUN}{TORCH}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, done.stderr.strip().splitlines()[-1]


def main() -> None:
    """Print the table: the median of five after a warm-up."""
    bare = subprocess.run(
        [sys.executable, "-c", "import time,hydra;print(time.process_time())"], capture_output=True, text=True
    )
    eager = subprocess.run(
        [sys.executable, "-c", "import time,torch;print(time.process_time())"], capture_output=True, text=True
    )
    limit, peers = ("import hydra", float(bare.stdout)), [("import torch", float(eager.stdout))]
    for words in (["--help"], ["--cfg", "job"], ["fusion=atention"], ["head=classifier", "fusion=separate"]):
        cpu(words)
        runs = sorted(cpu(words) for _ in range(5))
        goal, note = 0.7 if words[0][0] == "-" else None, f"torch imported: {runs[2][1]}"
        row(" ".join(words), runs[2][0], unit="s", goal=goal, peers=peers, limit=limit, note=note)
    with tempfile.TemporaryDirectory() as folder:
        words = [*SWEEP, f"hydra.sweep.dir={folder}"]
        done = subprocess.run([sys.executable, "-c", JOBS, *words], capture_output=True, text=True, check=True)
    check, launch = map(float, done.stdout.split()[-2:])
    note = f"check {check:.0f}, composition and Hydra's own {launch:.0f}"
    row("a job of a sweep of 36, over its own work", check + launch, unit="ms", goal=250, note=note)


if __name__ == "__main__":
    main()
