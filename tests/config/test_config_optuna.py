"""`hydra/sweeper=optuna`: its search is checked at its ends, and its trials stand in the table."""

import csv
import importlib
import importlib.util
import json
import shlex
from pathlib import Path

import pytest
from hydra.core.plugins import Plugins

from multimodal_lab.config.check import check_command
from multimodal_lab.config.problem import ConfigError

Plugins.instance()  # whoever asks first has it import every plugin anew
sweeper = importlib.import_module("hydra_plugins.multimodal_lab_optuna.sweeper")
INTERVAL = "optim.lr=tag(log,interval(1e-4,1e-2))"
SEARCH = f"-m '{INTERVAL}' 'fusion.width=int(interval(8,32))' augment.views=2,3 hydra/sweeper=optuna"


@pytest.fixture
def installed(monkeypatch):
    """Whether Optuna is there is asked of `find_spec`; the check needs nothing else of it."""
    real = importlib.util.find_spec
    monkeypatch.setattr(sweeper, "find_spec", lambda name: real("json") if name == "optuna" else real(name))


def refusal(line):
    with pytest.raises(ConfigError) as error:
        check_command(shlex.split(line))
    (said,) = str(error.value).splitlines()
    return said


def test_a_search_that_can_t_run_here_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(sweeper, "find_spec", lambda _: None)
    assert "needs the package optuna, which is not installed: pip install" in refusal(SEARCH)
    assert "hydra/sweeper=optuna" in refusal(f"-m '{INTERVAL}'")  # a plain sweep has no values for it


@pytest.mark.usefixtures("installed")
def test_a_search_is_checked_at_its_ends():
    jobs = check_command(shlex.split(f"{SEARCH} hydra.sweeper.n_trials=7"))
    assert jobs.count == 7
    assert "fusion.width=0: expected an integer >= 1" in refusal(
        "-m 'fusion.width=int(interval(0,8))' hydra/sweeper=optuna"
    )
    assert "optim.lr=-1" in refusal("-m optim.lr=-1,1e-3 hydra/sweeper=optuna")
    assert "hydra.sweeper.n_trials=1" in refusal(f"{SEARCH} hydra.sweeper.n_trials=0")
    assert "expected one of auto, maximize, minimize" in refusal(f"{SEARCH} hydra.sweeper.direction=max")
    assert "hydra.sweeper.direction=maximize, or minimize" in refusal(f"{SEARCH} objective=val/knn/fused/species/n")
    assert "trials are compared by a score" in refusal(f"{SEARCH} evaluate=[knn]")


@pytest.mark.usefixtures("installed")
def test_trials_are_judged_on_the_validation_split():
    """The test split is read once, by what was chosen: a score of it can't choose."""
    assert "eval_split=val" in check_command(shlex.split(SEARCH)).lines
    assert "eval_split=test: trials are chosen by their scores" in refusal(f"{SEARCH} eval_split=test")
    assert "objective=val/probe/fused/sex/accuracy" in refusal(f"{SEARCH} objective=probe/fused/sex/accuracy")
    assert "leaves no val split" in refusal(f"{SEARCH} data.split.val=0 data.split.train=0.6")


def test_the_direction_follows_from_the_objective(composed):
    for objective, way in (
        ("null", "maximize"),
        ("test/total", "minimize"),
        ("val/probe/fused/sex/accuracy", "maximize"),
    ):
        assert sweeper.direction(composed(f"objective={objective}"), "auto") == way
    assert sweeper.direction(composed(), "minimize") == "minimize"


def test_its_trials_stand_in_the_table(cli, tmp_path):
    pytest.importorskip("optuna", reason="the sweep extra is not installed")
    words = ["-m", INTERVAL, "data.batch_size=16,100000", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=3"]
    done = cli(*words, f"hydra.sweep.dir={tmp_path}", "train.max_steps=1", "evaluate=[probe]")
    rows = list(csv.DictReader((tmp_path / "sweep.csv").open()))
    assert len({row["optim.lr"] for row in rows}) == len(rows) == 3
    assert "job 3 of 3: " in done.stdout
    assert "± is over seeds, on the validation split" in " ".join(done.stdout.split())
    (said,) = (line for line in done.stdout.splitlines() if line.startswith("best of "))
    assert ", val/probe/fused/species/accuracy = " in said  # which score it is, where `objective` is null
    (command,) = (line for line in done.stdout.splitlines() if line.startswith("python -m multimodal_lab.evaluate "))
    best = Path(command.split("run=")[1].split()[0])
    assert json.loads((best / "summary.json").read_text())["val/probe/fused/species/accuracy"] > 0
    assert command.endswith("eval_split=test")
