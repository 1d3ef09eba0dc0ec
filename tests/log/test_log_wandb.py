"""`WANDB_MODE` is honoured where it asks for less than the config."""

import sys
import types

import pytest

from multimodal_lab.log.wandb import start_wandb


@pytest.fixture
def asked(monkeypatch):
    """What `wandb.init` is called with; wandb itself is not imported."""
    calls = []
    fake = types.SimpleNamespace(init=lambda **k: calls.append(k), Settings=lambda **k: k)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return calls


@pytest.mark.parametrize(
    ("mode", "environment", "expected"),
    [
        ("offline", None, "offline"), ("online", None, "online"), ("offline", "disabled", "disabled"),
        ("online", "disabled", "disabled"), ("online", "offline", "offline"), ("online", "dryrun", "offline"),
        ("offline", "online", "offline"), ("disabled", "online", "disabled"),
    ],
)  # fmt: skip
def test_the_quieter_of_config_and_environment_is_taken(asked, tmp_path, monkeypatch, mode, environment, expected):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    if environment is not None:
        monkeypatch.setenv("WANDB_MODE", environment)
    start_wandb(tmp_path, mode, name="x")
    assert asked[0]["mode"] == expected
    assert (tmp_path / "wandb").exists() == (expected != "disabled")


def test_an_unknown_mode_is_refused(asked, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "off")
    with pytest.raises(ValueError, match="WANDB_MODE=off: expected one of disabled, offline, online"):
        start_wandb(tmp_path, "offline")
