"""Directories on a command line: one that would not be used is refused, `~` is the home directory."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from multimodal_lab.config.check import check_command
from multimodal_lab.config.problem import ConfigError
from multimodal_lab.text import distinct

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("line", "near"),
    [
        ("-m seed=0,1 dir=runs/mine resume=auto", "hydra.sweep.dir=runs/mine"),
        ("-m seed=0,1 hydra.run.dir=runs/mine", "hydra.sweep.dir=runs/mine"),
        ("study=rgb_vs_uv dir=runs/mine", "hydra.sweep.dir=runs/mine"),
        ("hydra.sweep.dir=runs/mine", "dir=runs/mine"),
    ],
)
def test_a_directory_that_would_not_be_used_is_refused(line, near):
    with pytest.raises(ConfigError, match=f"nearest: {near}"):
        check_command(shlex.split(line))
    for word in ("-m seed=0,1 hydra.sweep.dir=runs/mine resume=auto", "dir=runs/mine resume=auto"):
        assert check_command(shlex.split(word)) is not None


@pytest.mark.parametrize(
    ("line", "key", "folder"),
    [
        ("dir=~/x", "dir", "x"),
        ("dir=\"'~/x y'\"", "hydra.run.dir", "x y"),
        ("-m seed=0,1 hydra.sweep.dir=~/x", "hydra.sweep.dir", "x"),
        ("data=images data.root=~/photos", "data.root", "photos"),
    ],
)
def test_the_home_directory_stands_in_full(line, key, folder, monkeypatch):
    monkeypatch.setenv("HOME", "/home/of it's")
    lines = check_command(shlex.split(line)).lines
    assert rf"{key}='/home/of it\'s/{folder}'" in lines


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("data=images data.root=HERE/phtos", "data.root=HERE/phtos: this folder is not there (nearest: data.root=HERE/photos)"),
        ("data=images data.root=HERE/a.txt", "data.root=HERE/a.txt: is a file, not a folder"),
        ("-m data=images data.root=HERE/photos,HERE/x", "data.root=HERE/x: this folder is not there"),
        ("data=images data.root=HERE/photos", None), ("seed=0", None),
        ("-m data=images data.root=HERE/x hydra/launcher=slurm", None),
    ],
)  # fmt: skip
def test_data_that_are_not_there_are_told_by_the_check(tmp_path, line, said):
    """Not by `check_command` itself: what another machine has is not known where a line is only looked at."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "a.txt").touch()
    found = [str(p) for p in distinct(check_command(shlex.split(line.replace("HERE", str(tmp_path)))).absent)]
    assert len(found) == (said is not None)
    assert said is None or found[0].startswith(said.replace("HERE", str(tmp_path)))


def test_a_folder_that_is_no_packed_store_is_one_sentence(tmp_path):
    for root, said in (
        (tmp_path, "is no packed store"),
        (tmp_path / "x", f"data.root={tmp_path / 'x'}: this folder is not"),
    ):
        with pytest.raises(ConfigError, match=said) as error:
            check_command(["data=packed", f"data.root={root}"])
        assert len(str(error.value).splitlines()) == 1


def test_a_run_is_refused_where_its_data_are_not_there_before_torch_is_imported(tmp_path):
    code = (
        "import sys\nfrom multimodal_lab import run\nsys.argv = ['run', 'data=images', 'data.root=/no/such', 'dir=x']\n"
        "try:\n    run.main()\nexcept SystemExit as end:\n    print(end.code, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.stdout == "2 False\n"
    assert done.stderr == "error: data.root=/no/such: this folder is not there\n"
    assert not list(tmp_path.iterdir())
