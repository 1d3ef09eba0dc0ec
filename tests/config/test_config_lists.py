"""One choice or several: what a group, a sweep and a list of names may hold, and what is recommended instead."""

import shlex

import pytest

from multimodal_lab.config.check import check_command
from multimodal_lab.config.overrides import takes_several
from multimodal_lab.config.problem import ConfigError


def refusal(line):
    with pytest.raises(ConfigError) as error:
        check_command(shlex.split(line))
    (said,) = str(error.value).splitlines()
    return said


@pytest.mark.parametrize(
    ("line", "near"),
    [
        ("loss=[clip,simclr]", "-m loss=clip,simclr"),
        ("-m loss=[clip,simclr]", "-m loss=clip,simclr"),
        ("+loss@losses.more=[clip,simclr]", "-m +loss@losses.more=clip,simclr"),
        ("backbone=[convnet,vit_small]", "-m backbone=convnet,vit_small"),
        ("data/scaling=[dtype_max,none]", "-m data/scaling=dtype_max,none"),
        ("experiment=[classifier,decision]", "-m experiment=classifier,decision"),
        ("fusion=[concat]", "fusion=concat"),
        ("adapt=[]", "adapt=none"),
    ],
)
def test_a_list_where_one_choice_is_taken_names_the_sweep(line, near):
    said = refusal(line)
    assert "one choice is taken here, not a list" in said
    assert f"(nearest: {near})" in said


def test_which_groups_take_several_follows_from_the_schema():
    assert [g for g in ("evaluate", "log", "modality", "loss", "augment", "adapt", "study") if takes_several(g)] == [
        "evaluate", "log", "modality",
    ]  # fmt: skip
    for line in (
        "evaluate=[knn,probe]",
        "log=[wandb,tensorboard]",
        "modality=[rgb,uv]",
        "evaluate=[]",
        "fusion=concat",
    ):
        assert check_command([line]) is not None


@pytest.mark.parametrize(
    ("line", "listed"),
    [
        ("loss=clip,simclr", None), ("fusion=concat,separate", None), ("seed=0,1", None),
        ("evaluate=knn,probe", "evaluate=[knn,probe]"), ("data.labels=species,sex", "data.labels=[species,sex]"),
    ],
)  # fmt: skip
def test_a_list_is_recommended_only_where_it_would_be_taken(line, listed):
    said = refusal(line)
    assert f"(nearest: -m {line}" in said
    assert said.endswith(f", or {listed} for a list)" if listed else f"-m {line})")
    assert listed is None or check_command([listed]) is not None


@pytest.mark.parametrize(
    ("line", "near"),
    [
        ("evaluate=[knn,knn]", "evaluate=[knn]"),
        ("data.labels=[sex,species,sex]", "data.labels=[sex, species]"),
        ("figures=[pca,pca]", "figures=[pca]"),
        ("-m seed=0,1,0", "seed=0,1"),
        ("-m fusion=concat,concat", "fusion=concat"),
    ],
)
def test_what_stands_there_twice_is_refused(line, near):
    said = refusal(line)
    assert "stands there twice; expected each once" in said
    assert f"(nearest: {near})" in said


def test_numbers_may_be_equal():
    assert check_command(["backbone.widths=[8,8]"]) is not None
