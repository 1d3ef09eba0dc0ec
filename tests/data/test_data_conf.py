"""conf/data: a file takes what is common by its defaults list, and what is common is no choice."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from multimodal_lab.config.overrides import choice_problems, groups, parse
from multimodal_lab.config.signature import signature
from multimodal_lab.config.targets import conf_dir

CONF = Path(__file__).parents[2] / "conf"
KNOWN = groups((conf_dir(),))
FILES = sorted((CONF / "data").glob("*.yaml"))


def test_what_is_common_is_no_choice():
    assert {"_base.yaml", "_files.yaml", "_folder.yaml"} < {f.name for f in FILES}
    assert KNOWN["data"] == [f.stem for f in FILES if not f.name.startswith("_")]
    (override,), _ = parse(["data=_base"], ["data"], KNOWN)
    (problem,) = choice_problems(override, KNOWN)
    assert problem.key == "data"
    assert "_base" not in problem.expected
    assert "specimens" in problem.expected


@pytest.mark.parametrize("name", KNOWN["data"])
def test_a_data_set_says_every_choice(name):
    """What `--cfg job` prints is all there is: no choice of `Data` or `Split` is left to the code's own default."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        data = OmegaConf.to_container(compose(f"data/{name}").data, resolve=False)
    for node in (data, data["split"]):
        assert set(signature(node["_target_"]).parameters) == set(node) - {"_target_"}
