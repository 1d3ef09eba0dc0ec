"""What is remembered of a composition is what Hydra would compose anew."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from omegaconf import DictConfig, OmegaConf, open_dict

from multimodal_lab import remember, resolvers
from multimodal_lab.targets import conf_dir

LINES = [
    [word for word in re.split(r" (?![^{]*\})", line) if word]  # a dict in braces is one word
    for line in (Path(__file__).parent / "valid_lines.txt").read_text().splitlines()
    if line[:1] not in "#"
]
SINGLE = [line for line in LINES if not any(w.startswith("-") or ",".join(w.split("=")[1:]).count(",") for w in line)]


@pytest.fixture
def hydra_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    resolvers.register()
    monkeypatch.setattr(config_loader_impl, "create_defaults_list", remember._defaults_list)
    monkeypatch.setattr(ConfigLoaderImpl, "_compose_config_from_defaults_list", remember._composed)
    monkeypatch.setattr(remember, "_lists", {})
    monkeypatch.setattr(remember, "_configs", {})


def composed(words: list[str]) -> DictConfig:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("config", words, return_hydra_config=True)


def plain(cfg: DictConfig) -> str:
    return OmegaConf.to_yaml(cfg, resolve=False)


def test_the_same_config_as_hydra_composes(hydra_alone: None) -> None:
    assert len(SINGLE) >= 30
    chosen = [*SINGLE[::5], ["fusion=concat", "seed=3"], ["fusion=concat", "seed=4", "fusion.width=32"]]
    alone = [plain(composed(words)) for words in chosen]
    remember.install()
    assert [plain(composed(words)) for words in chosen] == alone
    assert [plain(composed(words)) for words in chosen] == alone


def test_one_composition_for_each_set_of_choices(hydra_alone: None) -> None:
    remember.install()
    for seed in range(3):
        cfg = composed(["fusion=concat", f"seed={seed}"])
        assert cfg.seed == seed
        with open_dict(cfg):
            cfg.fusion.width = 7  # a job may change its own
    assert len(remember._configs) == len(remember._lists) == 1
    assert composed(["fusion=concat"]).fusion.get("width") != 7
    composed(["fusion=separate"])
    assert len(remember._configs) == len(remember._lists) == 2
