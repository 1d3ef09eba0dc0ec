"""Which arms stand for which subset of the modalities, and how the lacking ones are made."""

import pytest
from hydra import compose, initialize_config_dir

from multimodal_lab.config.study import Control, Study, Tune
from multimodal_lab.config.targets import conf_dir
from multimodal_lab.study.design.cells import Cells, streams

ARMS = {
    "inertial": ["modality=inertial", "fusion=separate"],
    "skeleton": ["modality=skeleton", "fusion=separate"],
    "late": ["modality=inertial_skeleton", "fusion=separate", "head=late_fusion"],
    "concat": ["modality=inertial_skeleton", "fusion=concat"],
    "everything": ["modality=inertial_skeleton_depth", "fusion=concat"],
}


@pytest.fixture(scope="module")
def composed():
    """A function of lines to the config of a study of three vectors."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        yield lambda lines: compose("config", ["study=utd_mhad", "data.root=/nowhere", *lines])


def test_lacking_subsets_are_arms_less_the_other_streams(composed):
    study = Study(ARMS, ["inertial", "skeleton"], ["action"], seeds=[0], retrain="everything")
    made = Cells(study, composed)
    assert made.retrained == {
        "inertial": "inertial", "skeleton": "skeleton", "depth": "everything_on_depth", "inertial+skeleton": "concat",
        "inertial+depth": "everything_on_inertial_depth", "skeleton+depth": "everything_on_skeleton_depth",
        "inertial+skeleton+depth": "everything",
    }  # fmt: skip
    own = {c.arm: c for c in made.compared({})}
    assert own.keys() == {*ARMS, *made.added}
    assert {c.role for arm, c in own.items() if arm in made.added} == {"retrained"}
    for subset, arm in made.retrained.items():
        if arm in made.added:
            assert list(streams(composed(own[arm].overrides))) == subset.split("+")


def test_a_control_has_the_choice_of_its_arm(composed):
    controls = {"duplicate": Control("concat", "duplicate", ["modality=inertial_inertial"])}
    arms = {k: ARMS[k] for k in ("inertial", "concat")}
    study = Study(arms, ["inertial"], ["action"], controls, [0], [0, 1], tune=Tune([["optim.lr=1e-4"], []]))
    made = Cells(study, composed)
    tried = made.tuning()
    assert [(c.split, c.arm, c.option) for c in tried] == [(r, a, i) for r in (0, 1) for a in arms for i in (0, 1)]
    assert all("eval_split=val" in c.overrides and (c.seed, c.role) == (1000, "tuning") for c in tried)
    own = made.compared({"inertial": {"0": 0, "1": 0}, "concat": {"0": 1, "1": 0}})
    assert not any("eval_split=val" in c.overrides for c in own)
    assert len({c.key for c in [*tried, *own]}) == len(tried) + len(own)
    lowered = {(c.arm, c.split): "optim.lr=1e-4" in c.overrides for c in own}
    assert lowered == {("inertial", 0): True, ("inertial", 1): True, ("concat", 0): False, ("concat", 1): True,
                       ("duplicate", 0): False, ("duplicate", 1): True}  # fmt: skip


def test_nothing_is_added_where_every_subset_has_its_arm(composed):
    study = Study(
        {k: ARMS[k] for k in ("inertial", "skeleton", "late")}, ["inertial", "skeleton"], ["action"], retrain="late"
    )
    made = Cells(study, composed)
    assert made.retrained == {"inertial": "inertial", "skeleton": "skeleton", "inertial+skeleton": "late"}
    assert made.added == {}
    assert Cells(Study(ARMS, ["inertial"], ["action"]), composed).retrained == {}
