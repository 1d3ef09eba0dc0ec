"""`WANDB_MODE` is honoured where it asks for less than the config."""

import re
import sys
import types
from pathlib import Path

import pytest
import yaml

from multimodal_lab.config.check import check_command
from multimodal_lab.config.problem import ConfigError
from multimodal_lab.log.wandb import Wandb, start_wandb


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


@pytest.mark.parametrize(("sweep", "named"), [("e/p/s", True), (None, False)])
def test_a_run_of_a_sweeps_agent_has_the_id_that_the_agent_waits_for(asked, tmp_path, monkeypatch, sweep, named):
    monkeypatch.setenv("WANDB_RUN_ID", "a1b2c3d4")
    if sweep:
        monkeypatch.setenv("WANDB_SWEEP_ID", sweep)
    else:
        monkeypatch.delenv("WANDB_SWEEP_ID", raising=False)
    start_wandb(tmp_path, "offline", name="x")
    assert (asked[0]["id"] == "a1b2c3d4") == named


def test_the_pages_sweep_gives_commands_that_pass_the_check():
    utils = pytest.importorskip("wandb.sdk.launch.sweeps.utils")
    page = (Path(__file__).parents[2] / "docs" / "wandb.md").read_text()
    sweep = yaml.safe_load(re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1])
    drawn = {k: {"value": v.get("min", v.get("values", [None])[0])} for k, v in sweep["parameters"].items()}
    given = utils.create_sweep_command_args({"args": drawn})["args_no_hyphens"]
    assert sweep["command"][:4] == ["${env}", "python", "-m", "${program}"]
    assert sweep["command"][-1] == "${args_no_hyphens}"
    jobs = check_command([*sweep["command"][4:-1], *given])
    assert jobs is not None
    with pytest.raises(ConfigError, match=r"optim\.weight_decy"):
        check_command([*sweep["command"][4:-1], "optim.weight_decy=0.1"])


def test_the_csv_files_of_a_run_become_tables(tmp_path, monkeypatch):
    logged = []
    run = types.SimpleNamespace(
        summary={}, define_metric=lambda *a, **k: None, log=logged.append, finish=lambda **k: None
    )
    fake = types.SimpleNamespace(
        init=lambda **k: run, Settings=lambda **k: k, Table=lambda columns, data: (columns, data)
    )
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    (tmp_path / "classes.csv").write_text("class,n,f1\nwater,3,0.5\ndunes,0,\n")
    Wandb(folder=tmp_path, name="x", config={}).finish({"a": 1}, iter([tmp_path / "classes.csv"]))
    assert logged == [{"tables/classes": (["class", "n", "f1"], [["water", 3, 0.5], ["dunes", 0, None]])}]
