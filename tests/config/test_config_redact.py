"""No secret in anything that a run writes, and nothing else hidden."""

import pytest
from omegaconf import OmegaConf

from multimodal_lab.config import redact

LOOK = [
    "hf_" + "a1B2" * 8, "ghp_" + "Zz09" * 9, "github_pat_" + "x1_" * 10, "sk-proj-" + "q7" * 15, "AKIA" + "ABCD1234" * 2,
    "xoxb-1234567890-abcdef", "glpat-" + "s3cr3t-token-here", "AIza" + "Sy_0" * 9, "wandb_v1_" + "k3y" * 10,
]  # fmt: skip
PLAIN = [
    "out.projection", "modality_tokens", "facebook/dinov3-vits16", "/data/birds/Genus_species_01", "2026-01-02_03-04-05",
    "(?P<species>\\w+?)_(?P<individual>\\d+)", "https://example.org/a:b", "task-skeleton", "d41d8cd98f00b204e9800998ecf8427e",
]  # fmt: skip


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "correct-horse-battery")
    monkeypatch.setenv("SHORT_TOKEN", "abc")
    monkeypatch.setenv("WHERE_BIRDS_ARE", "/somewhere/private/birds")


def written(**values):
    cfg = OmegaConf.create(values)
    return redact.config(OmegaConf.to_container(cfg, resolve=True), OmegaConf.to_container(cfg, resolve=False))


@pytest.mark.parametrize("value", LOOK)
def test_what_looks_like_a_secret_is_hidden_wherever_it_stands(value):
    assert redact.text(f"failed with {value}!") == "failed with ***!"
    assert written(note=[{"x": value}]) == {"note": [{"x": "***"}]}


@pytest.mark.parametrize("value", PLAIN)
def test_what_does_not_is_kept(value):
    assert redact.text(value) == value
    assert written(a={"b": value}) == {"a": {"b": value}}


@pytest.mark.parametrize(
    "key", ["api_key", "apikey", "token", "hf_token", "password", "client_secret", "aws_secret_key"]
)
def test_secret_keys(key):
    assert written(log={key: "anything"}) == {"log": {key: "***"}}
    assert written(log={key: None, "n": 3}) == {"log": {key: None, "n": 3}}


@pytest.mark.parametrize("key", ["tokens", "keys", "key", "modality_tokens", "tokenizer", "secretary"])
def test_keys_that_only_sound_alike(key):
    assert written(**{key: "anything"}) == {key: "anything"}


def test_values_of_secret_environment_variables_and_logins_in_addresses():
    assert redact.text("cannot open correct-horse-battery, abc") == "cannot open ***, abc"
    assert redact.text("https://me:pa55@host/x and git@host:y") == "https://***@host/x and git@host:y"


def test_references_to_the_environment_are_written_as_references():
    found = written(
        root="${oc.env:WHERE_BIRDS_ARE}", copy="${root}/more", said="at /somewhere/private/birds now", n="${k}", k=2
    )
    assert found["root"] == "${oc.env:WHERE_BIRDS_ARE}"
    assert found["copy"] == "${root}/more"
    assert "private" not in str(found)
    assert found["n"] == found["k"] == 2
    again = OmegaConf.to_container(OmegaConf.create(found), resolve=True)
    assert again["copy"] == "/somewhere/private/birds/more"


def test_a_node_that_is_one_interpolation():
    found = written(a="${b}", b={"token": "x" * 12, "c": "${oc.env:MY_API_KEY}"}, d="${e}", e={"token": "y" * 12})
    assert found["a"] == "${b}"
    assert found["b"] == {"token": "***", "c": "${oc.env:MY_API_KEY}"}
    assert found["d"] == found["e"] == {"token": "***"}
