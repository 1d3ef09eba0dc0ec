"""Secrets that are planted in the environment, on the command line and in addresses are in no file that is written."""

import os
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "study"))
from made import LEVELS, study

from multimodal_lab.config import redact, resolvers
from multimodal_lab.study.analysis import judge, results
from multimodal_lab.study.launch import wandb
from multimodal_lab.study.launch.conclude import conclude
from multimodal_lab.study.ledger import outcomes

VARIABLES = {  # of the environment: (name, value)
    "MY_API_KEY": "envkey-correct-horse",
    "DB_PASS": "envpass-battery-staple",
    "GH_PAT": "envpat-0123456789",
    "SENTRY_DSN": "envdsn-abcdefgh",
    "SSH_PRIVATE_KEY_PEM": "envpem-begin-12345678\nenvpem-body-abcdefghijkl\nenvpem-end-12345678",
    "SERVICE_LOGIN": "envlogin-someone",
    "BEARER_JWT": "envjwt-aaaa.bbbb.cccc",
    "SESSION_COOKIE": "envcookie-qwertz",
}
ADDRESSES = [
    "https://planted:urlpass-one@host/x",
    "https://urluser-two@host/x",
    "https://host/x?token=urltoken-three",
    "https://host/x?a=1&access_token=urltoken-four",
    "https://bucket/x?X-Amz-Signature=urlsig-five",
    "https://blob/x?sv=1&sig=urlsig-six",
    "hf_" + "urlHf7" * 5,
    "sk-" + "urlSk8" * 5,
]
PLANTED = [w for v in VARIABLES.values() for w in v.split("\n")] + [
    "urlpass-one", "urluser-two", "urltoken-three", "urltoken-four", "urlsig-five", "urlsig-six", "urlHf7", "urlSk8",
    "armpass-one", "armtoken-two", "armkey-three", "armUrl-four",
]  # fmt: skip
ARMS = [
    "log.wandb.api_key=armkey-three",
    "data.root=https://u:armpass-one@host/x",
    "+note=https://host/x?token=armtoken-two",
    "+log.extra={url: x, password: armUrl-four}",
]


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(redact, "read", {})


def leaks(folder):
    """{file: planted secrets in it} of every file below `folder`, its name included."""
    found = {}
    for path in (p for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes() + str(path.relative_to(folder)).encode()
        if own := [word for word in PLANTED if word.encode() in content]:
            found[str(path.relative_to(folder))] = own
    return found


def test_twenty_are_planted():
    assert len(PLANTED) >= 20


def test_a_sweep_and_its_runs_write_none(tmp_path, cli):
    """Hydra's own files, W&B's, TensorBoard's and ours."""
    tags = ",".join(f"'{address}'" for address in ADDRESSES)
    done = cli(
        "-m", f"hydra.sweep.dir={tmp_path / 'sweep'}", "hydra.output_subdir=.hydra", "hydra/job_logging=default",
        "log=[wandb,tensorboard]", f"log.wandb.tags=[{tags}]", "log.wandb.entity='${oc.env:MY_API_KEY}'",
        f"name='{ADDRESSES[0]}'", "log.wandb.group='${oc.env:DB_PASS}'", "evaluate=[knn]", "train.max_steps=1",
        HYDRA_FULL_ERROR="1",
    )  # fmt: skip
    written = {p.name for p in (tmp_path / "sweep").rglob("*")}
    assert {
        "multirun.yaml",
        "hydra.yaml",
        "overrides.yaml",
        "config.yaml",
        "job.json",
        "debug.log",
        "summary.json",
    } <= written
    assert leaks(tmp_path) == {}
    assert not [word for word in PLANTED if word in done.stdout + done.stderr]
    assert "${oc.env:MY_API_KEY}" in (tmp_path / "sweep" / "0" / "config.yaml").read_text()


def test_an_error_repeats_no_value_of_the_environment(tmp_path, cli):
    """Neither one that a variable of a secret name holds, nor any that the config refers to."""
    private = tmp_path / "envwhere-innocent-name"
    private.mkdir()
    (private / "labels.csv").write_text("a\n")
    done = cli(
        "data=images", "data.root='${oc.env:WHERE}'", f"dir={tmp_path / 'run'}", "data.source.labels.table=none.csv",
        "modality=rgb", small=False, check=False, WHERE=str(private),
    )  # fmt: skip
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "${oc.env:WHERE}" in said
    assert "envwhere" not in said
    files = [p for p in (tmp_path / "run").rglob("*") if p.is_file()] if (tmp_path / "run").exists() else []
    assert not [p for p in files if b"envwhere" in p.read_bytes()]
    done = cli("data=images", "data.root='${oc.env:WHERE}/absent'", small=False, check=False, WHERE=str(private))
    assert "envwhere" not in done.stderr
    assert "this folder is not there" in done.stderr


def test_a_traceback_shows_none_whatever_the_variable_is_called():
    for name, value in VARIABLES.items():
        assert redact.is_secret(name)
        said = redact.text(f"ValueError: {value!r} in {value} ({value.splitlines()[0]})")
        assert not [word for word in PLANTED if word in said]
    assert not any(
        map(redact.is_secret, ("PATH", "HOME", "PWD", "KEYBOARD", "AUTHOR", "LANG", "MONKEY_ISLAND", "SSH_AUTH_SOCK"))
    )


def test_a_study_writes_none(tmp_path):
    """Its arms, as typed, in plan.json, study.json, report.html and W&B."""
    folder = study(tmp_path / "mine", LEVELS, seeds=(0, 1, 2), groups=30, arms_more=ARMS)
    conclude(folder)
    found = outcomes.load(folder)
    made = results.record(found, judge.judge(found))
    wandb.send(folder, made, redact.plain({"mode": "offline", "tags": ADDRESSES, "project": "mine"}))
    assert {"plan.json", "study.json", "report.html", "wandb"} <= {p.name for p in folder.iterdir()}
    assert "log.wandb.api_key=***" in (folder / "plan.json").read_text()
    assert leaks(folder) == {}


def test_a_reference_stays_one_and_what_is_read_is_remembered(monkeypatch):
    from omegaconf import OmegaConf

    monkeypatch.setenv("WHERE_BIRDS_ARE", "/somewhere/private")
    resolvers.register()
    assert OmegaConf.create({"a": "${oc.env:WHERE_BIRDS_ARE}/x"}).a == "/somewhere/private/x"
    assert OmegaConf.create({"a": "${oc.env:NOT_SET_ANYWHERE,b}"}).a == "b"
    assert redact.text("no /somewhere/private/x there") == "no ${oc.env:WHERE_BIRDS_ARE}/x there"
    assert redact.plain({"token": "${oc.env:T}", "a": ["b.token=${oc.env:T}"]}) == {
        "token": "${oc.env:T}",
        "a": ["b.token=${oc.env:T}"],
    }
    assert os.environ["WHERE_BIRDS_ARE"]
