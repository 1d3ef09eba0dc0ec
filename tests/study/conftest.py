"""Starting a study beside the test."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small import SMALL

ROOT = Path(__file__).parents[2]
FEWER = [line for line in SMALL if not line.startswith(("log=", "data.batch_size="))]


@pytest.fixture(scope="session")
def launch(tmp_path_factory):
    """Start a study from a copy of the project, whose source nobody edits meanwhile; a function of words to the process."""
    place = tmp_path_factory.mktemp("project")
    for part in ("multimodal_lab", "conf", "hydra_plugins"):
        shutil.copytree(ROOT / part, place / part, ignore=shutil.ignore_patterns("__pycache__"))

    def start(*words):
        command = [sys.executable, "-m", "multimodal_lab.run", *words, *FEWER]
        env = {**os.environ, "PYTHONPATH": str(place), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            command, cwd=place, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    return start
