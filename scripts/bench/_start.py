"""Benchmark helper: what a run takes from its launch to its first step, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from scale import _peak


def started(script: str, words: list[str], more: Mapping[str, str]) -> dict[str, float]:
    """Wall seconds, CPU seconds and GB of `script --watched WORDS`, which calls `until_the_first_step`."""
    command = [sys.executable, script, "--watched", *words]
    env = {**os.environ, **more, "SCALE_BEGAN": str(time.time())}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def until_the_first_step() -> None:
    """Run the command line as far as its training, and print what that took as the last line."""
    import multimodal_lab.experiment.run as story

    def told(*_: Any, **__: Any) -> None:
        wall = time.time() - float(os.environ["SCALE_BEGAN"])
        print(json.dumps({"start_s": wall, "start_cpu": time.process_time(), "start_gb": _peak()}), flush=True)
        os._exit(0)

    story.fit = told
    from multimodal_lab.run import main

    main()
