"""Directories on a command line: one that would not be used is refused, `~` is the home directory."""

import shlex

import pytest

from multimodal_lab.config.check import check_command
from multimodal_lab.config.problem import ConfigError


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
