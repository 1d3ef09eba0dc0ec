"""What a config needs beside the project's own packages, and patterns as a shell leaves them."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from multimodal_lab.config import schema
from multimodal_lab.config.check import check_command
from multimodal_lab.config.compose import read
from multimodal_lab.config.overrides import groups, parse, quoted_pattern
from multimodal_lab.config.problem import ConfigError
from multimodal_lab.config.targets import conf_dir
from multimodal_lab.text import install_command

ROOT = Path(__file__).parents[2]
PATTERNS = [
    r"(?P<species>\w+?)_(?P<individual>\d+)",
    "{species}_{individual}_{sex}",
    r"nm(?P<nm>[\d.]+)",
    r"it's (?P<a>x)\\",
]


@pytest.fixture
def absent(monkeypatch):
    """A function that makes a package not installed."""

    def make(package):
        found = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == package else found(name, *a))

    return make


@pytest.mark.parametrize(
    ("package", "words", "said"),
    [
        ("umap", ["figures=[pca,umap]"], r"figures\.1=umap: needs the package umap.*pip install -e '\.\[viz\]'"),
        (
            "tensorboard",
            ["log=tensorboard"],
            r"log=tensorboard: needs the package tensorboard.*pip install -e '\.\[viz\]'",
        ),
        (
            "soxr",
            ["data=esc10", "data.root=/x", "modality=audio"],
            r"needs the package soxr.*pip install -e '\.\[audio\]'",
        ),
    ],
)
def test_a_package_that_is_not_there_is_told_before_data_are_read(composed, absent, package, words, said):
    cfg = composed(*words, small=False)
    assert not [p for p in schema.check(cfg) if "needs the package" in str(p)]
    absent(package)
    (found,) = [str(p) for p in schema.check(cfg) if "needs the package" in str(p)]
    assert re.search(said, found)


@pytest.mark.parametrize(("choice", "package", "extra"), [("slurm", "submitit", "sweep"), ("ray", "ray", "ray")])
def test_a_launcher_that_is_not_there_names_its_extra(absent, choice, package, extra):
    absent(package)
    with pytest.raises(ConfigError) as error:
        check_command(["-m", "seed=0,1", f"hydra/launcher={choice}"])
    said = f"hydra/launcher={choice}: needs the package {package}, which is not installed: pip install -e '.[{extra}]'"
    assert str(error.value) == said


def test_the_command_is_that_of_a_checkout():
    assert install_command("viz") == "pip install -e '.[viz]'"


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_is_read_as_a_shell_leaves_it(pattern):
    for line in (f"data.source.labels.pattern={pattern}", f"+data.source.pattern={pattern}"):
        assert read(quoted_pattern(line)).value() == pattern
        assert quoted_pattern(quoted_pattern(line)) == quoted_pattern(line)
    (override,), problems = parse([f"data.source.labels.pattern={pattern}"], ["data"], {})
    assert (override.value(), problems) == (pattern, [])


@pytest.mark.parametrize(
    "line", ["data.source.labels.pattern=birds", "data.source.labels.pattern=null", "labels=[a,b]"]
)
def test_other_lines_stay_as_they_are(line):
    assert quoted_pattern(line) == line


def test_every_pattern_of_the_readme_can_be_typed():
    lines = [
        line for line in (ROOT / "README.md").read_text().splitlines() if "pattern=" in line and line.startswith("… ")
    ]
    assert lines
    words = [word for line in lines for word in shlex.split(line[2:], comments=True)]
    assert parse(words, ["data"], groups((conf_dir(),)))[1] == []
