"""Starting a study beside the test, and what the check says of one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import forked
import pytest
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from omegaconf import OmegaConf, open_dict
from small import SMALL
from tiny import changed, write

from multimodal_lab.config.check import check_command
from multimodal_lab.config.compose import CachingLoader
from multimodal_lab.config.problem import ConfigError

ROOT = Path(__file__).parents[2]
FEWER = [line for line in SMALL if not line.startswith(("log=", "data.batch_size="))]


def words_of(given):
    """A study's command line with what makes it small, but for keys that are given."""
    keys = {word.partition("=")[0] for word in given}
    return [*given, *(line for line in FEWER if line.partition("=")[0] not in keys)]


@pytest.fixture(scope="session")
def begin(tmp_path_factory):
    """Start a study in a fork; a function of words to the process."""
    place = tmp_path_factory.mktemp("begun")

    def start(*words):
        return forked.Begun("multimodal_lab.run", words_of(words), place, {**os.environ, **forked.OWN})

    return start


@pytest.fixture(scope="session")
def launch(tmp_path_factory):
    """Start a study by an interpreter, from a copy of the project, which nobody edits meanwhile; else as `begin`."""
    place = tmp_path_factory.mktemp("project")
    for part in ("multimodal_lab", "conf", "hydra_plugins"):
        shutil.copytree(ROOT / part, place / part, ignore=shutil.ignore_patterns("__pycache__"))

    def start(*words):
        command = [sys.executable, "-m", "multimodal_lab.run", *words_of(words)]
        env = {**os.environ, "PYTHONPATH": str(place), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            command, cwd=place, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    return start


@pytest.fixture(scope="module")
def flag(tmp_path_factory):
    return write(tmp_path_factory.mktemp("study"))


@pytest.fixture
def refusal(flag, monkeypatch):
    """A function of (changes to the study, what is typed) to the refusal; each set of choices is composed once."""

    def refuse(changes, *typed):
        node = OmegaConf.create(yaml.safe_load(changed(changes))["study"])

        def assign(values, cfg):
            with open_dict(cfg):
                cfg.study = node
            ConfigLoaderImpl._apply_overrides_to_config(values, cfg)

        monkeypatch.setattr(CachingLoader, "_apply_overrides_to_config", staticmethod(assign))
        with pytest.raises(ConfigError) as error:
            check_command([flag, "-m", "study=tiny", *typed])
        return str(error.value)

    return refuse
