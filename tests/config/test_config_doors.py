"""Doors: of no way that a stranger's config folder or the working directory can name does anything run."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOORS = yaml.safe_load((Path(__file__).parent / "doors.yaml").read_text())
TREE = """
defaults: [_self_, {optional experiment: null}, {optional augment: null}, {override hydra/job_logging: none}]
name: null
log: {}
hydra: {run: {dir: out}, output_subdir: null, callbacks: {table: {_target_: multimodal_lab.sweep_table.Table}}}
"""
DRIVER = """
import contextlib, io, json, os, sys
from multimodal_lab import run

run.job = lambda cfg: 0.0
said = []
for folder, argv in json.loads(sys.stdin.read()):
    os.chdir(folder)
    sys.argv, err, code = ["run", *argv], io.StringIO(), 0
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        try:
            run.main()
        except SystemExit as end:
            code = end.code
            raise
    said.append([code, err.getvalue()])
print(json.dumps({"said": said, "heavy": sorted({"torch", "scipy", "matplotlib", "pandas"} & sys.modules.keys())}))
"""


class Evil:
    """What makes a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """[(exit code, stderr, marker)] of every door's command line, all in one process that may import nothing heavy."""
    places, lines = [], []
    for i, door in enumerate(DOORS):
        here = tmp_path_factory.mktemp(f"door{i}")
        mark = here / "mark"
        (here / "seed").write_text("x")
        (here / "evil.npy").write_bytes(_pickled(mark))
        tree = {} if door.get("beside") else {"config.yaml": TREE}
        for path, text in {**tree, **door["files"]}.items():
            file = here / "conf" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace("HERE", str(here)).replace("MARK", str(mark)))
        (here / "evil.py").write_text(f"open({str(mark)!r}, 'w')\n")
        words = [w.replace("HERE", str(here)) for w in door["words"]]
        flag = "--config-dir" if door.get("beside") else "--config-path"
        own = [] if words[0].startswith(flag) else [f"{flag}={here / 'conf'}"]
        lines.append((str(here), [*own, *words]))
        places.append(mark)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", DRIVER], input=json.dumps(lines), capture_output=True, text=True, env=env, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["heavy"] == []
    return [(code, said, mark) for (code, said), mark in zip(found["said"], places, strict=True)]


def _pickled(mark):
    header = np.lib.format.magic(1, 0)
    text = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return header + len(text).to_bytes(2, "little") + text + pickle.dumps(Evil(mark))


def test_there_are_doors_enough():
    assert len(DOORS) >= 45
    assert len({d["door"] for d in DOORS}) == len(DOORS)


@pytest.mark.parametrize("number", range(len(DOORS)), ids=[d["door"] for d in DOORS])
def test_a_door_is_shut(told, number):
    code, said, mark = told[number]
    assert not mark.exists()
    assert code == 2, said[-2000:]
    assert f"error: {DOORS[number]['says']}" in said
    assert len(said.splitlines()) == 1


CWD = {
    "a module that the configuration imports": {"yaml.py": "MARK"},
    "a module that a training imports": {"torch.py": "MARK"},
    "a module of the standard library": {"signal.py": "MARK", "tempfile.py": "MARK"},
    "a plugin of Hydra": {"hydra_plugins/evil.py": "MARK"},
    "a plugin of Hydra beside ours": {"hydra_plugins/multimodal_lab_study/evil.py": "MARK"},
    "an entry point": {
        "lab_evil.py": "MARK",
        "lab_evil-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: lab_evil\nVersion: 1\n",
        "lab_evil-1.dist-info/entry_points.txt": "[multimodal_lab.targets]\nevil = lab_evil:Evil\n",
    },
}  # fmt: skip


def test_the_working_directory_is_no_place_to_import_from(tmp_path):
    """All ways at once; the marker says which."""
    for files in CWD.values():
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace("MARK", f"open({str(tmp_path / 'mark')!r}, 'a').write(__name__ + '\\n')"))
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    env.pop("PYTHONSAFEPATH", None)
    for command in (
        ["-m", "multimodal_lab.run", "--cfg", "job"],
        ["-m", "multimodal_lab.run", "fusion._target_=lab_evil.Evil"],
        ["-m", "multimodal_lab.embed", "run=none"],
    ):
        done = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, env=env, cwd=tmp_path, timeout=60
        )
        assert not (tmp_path / "mark").exists(), (tmp_path / "mark").read_text()
        assert "Traceback" not in done.stderr
    # a worker that Python starts with `-c` does not look there either
    (tmp_path / "probe.py").write_text("")
    code = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import probe'], check=True)"
    driver = f"import multimodal_lab as m, sys\nsys.argv = ['-m']\nm._leave_working_directory()\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", driver], capture_output=True, text=True, env=env, cwd=tmp_path, timeout=60
    )
    assert "No module named 'probe'" in done.stderr
