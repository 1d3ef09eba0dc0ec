"""What composition leaves out, nobody reads: entries that name another choice still see it."""

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException

from multimodal_lab import compose as faster


def folder(tmp_path, second):
    for group, name, body in (("a", "x", {"n": 1}), ("b", "x", {"n": 2}), ("b", "y", {"n": 3})):
        (tmp_path / group).mkdir(exist_ok=True)
        (tmp_path / group / f"{name}.yaml").write_text(yaml.safe_dump(body))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"defaults": [{"a": "x"}, {"b": second}, "_self_"]}))
    return initialize_config_dir(str(tmp_path), version_base="1.3")


def test_an_entry_that_names_another_choice_follows_it(tmp_path):
    with folder(tmp_path, "${a}"):
        assert compose("config").b.n == 2


def test_an_entry_that_names_no_choice_is_told_as_hydra_tells_it(tmp_path):
    with folder(tmp_path, "${c}"), pytest.raises(ConfigCompositionException, match="possible interpolation keys: a"):
        compose("config")


def test_the_choices_are_not_gathered_where_no_entry_asks(tmp_path, monkeypatch):
    def never(*_):
        raise AssertionError("gathered")

    monkeypatch.setattr(faster, "_choices_so_far", never)
    with folder(tmp_path, "y"):
        assert compose("config").b.n == 3
    with folder(tmp_path, "${a}"), pytest.raises(AssertionError, match="gathered"):
        compose("config")


def test_an_empty_list_of_trackers_or_evaluators_is_none(composed):
    cfg = composed("log=[]", "evaluate=[]", small=False)
    assert cfg.log == {}
    assert cfg.evaluate == {}
