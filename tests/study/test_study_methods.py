"""A study of methods: arms of the same modalities against one reference, without a word on modalities."""

import json

import numpy as np
import pytest
import tiny
from made import study

from multimodal_lab.config.check import check_command
from multimodal_lab.config.problem import ConfigError, StudyError
from multimodal_lab.stats.crossed import crossed
from multimodal_lab.stats.paired import paired
from multimodal_lab.study.launch.conclude import conclude
from multimodal_lab.study.launch.forecast import plan_more
from multimodal_lab.study.ledger import outcomes

METHODS = {"cross": 0.5, "comm": 0.8, "factorcl": 0.3, "again": 0.5}


def made(folder, levels=METHODS, **more):
    return study(folder, levels=levels, baselines=("cross",), controls={}, compares="methods", **more)


@pytest.fixture(scope="module")
def concluded(tmp_path_factory):
    folder = made(tmp_path_factory.mktemp("methods"), groups=400)
    return folder, conclude(folder)


def test_every_method_is_held_against_the_reference_alone(concluded):
    folder, told = concluded
    own = told["labels"]["sex"]
    kinds = {c["arm"]: (c["baseline"], c["verdict"]["kind"]) for c in own["comparisons"]}
    assert kinds == {
        "comm": ("cross", "better"),
        "factorcl": ("cross", "worse"),
        "again": ("cross", "not known"),
    }
    assert {arm: a["role"] for arm, a in own["arms"].items()} == {
        **dict.fromkeys(METHODS, "method"),
        "cross": "reference",
    }
    scores = outcomes.load(folder).scores("sex")
    by_hand = crossed(paired(scores.score["cross"], scores.score["comm"], scores.groups), None)
    gain = next(c["gain"] for c in own["comparisons"] if c["arm"] == "comm")
    assert np.isclose(gain["mean"], by_hand.mean)
    assert np.isclose(gain["low"], by_hand.low, atol=0.01)


def test_the_answer_names_levels_and_differences_and_claims_no_more(concluded):
    _, told = concluded
    said = told["labels"]["sex"]["answer"]
    assert said["words"] == "comm better; again not known; factorcl worse (against cross)"
    start, *clauses = said["sentence"].split("; ")
    assert start.startswith("sex by method: comm .8")
    assert start.count("(not shown to be above chance)") == 3
    assert clauses[0] == "chance .50"
    assert clauses[1].startswith("comm is better than cross by 3")
    assert clauses[2].startswith("whether again differs from cross is not known (")
    assert clauses[3].startswith("factorcl is worse than cross by 19 points")


def test_neither_page_nor_table_speaks_of_what_a_modality_adds(concluded, capsys):
    folder, _ = concluded
    conclude(folder)
    texts = {"printed": capsys.readouterr().out, **{n: (folder / n).read_text() for n in ("report.md", "report.html")}}
    for name, text in texts.items():
        assert "ow do the methods compare?" in text, name
        body = text.partition("<main>")[2] or text
        for wrong in ("modality", "fused arm", "control", "adds", "redundant", "underpowered", "harms"):
            assert wrong not in body.replace("modalities", "").replace("modality=", "").replace("modality\\=", ""), (
                name,
                wrong,
            )
    assert json.loads((folder / "study.json").read_text())["question"]["compares"] == "methods"


def test_methods_that_are_alike_and_too_few_seeds(tmp_path):
    same = conclude(made(tmp_path / "same", levels={"cross": 1.0, "comm": 1.0}, groups=400))["labels"]["sex"]
    assert same["answer"]["words"] == "comm alike (against cross)"
    assert "comm differs from cross by nothing that matters" in same["answer"]["sentence"]
    few = conclude(made(tmp_path / "few", levels={"cross": 0.5, "comm": 1.0}, groups=400, seeds=(0, 1)))
    assert few["labels"]["sex"]["comparisons"][0]["verdict"]["kind"] == "not known"
    assert "2 seeds cannot tell a method from its luck" in few["labels"]["sex"]["comparisons"][0]["verdict"]["sentence"]
    assert few["warnings"][0] == "study.seeds: 2 seeds, fewer than 3: the verdict can only be not known"
    assert not [said for said in few["warnings"] if "control" in said]


def test_nothing_is_planned_by_the_power_of_a_word_that_a_study_of_methods_does_not_say(concluded):
    folder, _ = concluded
    with pytest.raises(StudyError, match="compares methods, and what is planned is the power of adds"):
        plan_more({"runs": str(folder), "effect": "0.1"})


def test_cells_that_do_not_compare_void_the_answer(tmp_path):
    mixed = made(tmp_path, sources=lambda cell: "b" if cell.arm == "comm" else "a", groups=40)
    own = conclude(mixed)["labels"]["sex"]
    assert {c["verdict"]["kind"] for c in own["comparisons"]} == {"invalid"}
    assert own["answer"]["sentence"] == "no answer for sex: the comparison does not stand."


AS_METHODS = {
    "    rgb: [modality=rgb, fusion=separate]": "    late: [modality=rgb_uv, fusion=weighted]",
    "baselines: [rgb]": "baselines: [late]\n  compares: methods",
    "    shuffled: {of: concat, kind: shuffled, set: ['data.shuffle={stream: uv}']}\n": "",
    "  controls:\n": "  controls: {}\n",
}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"modality=rgb_uv, fusion=weighted": "modality=rgb, fusion=separate"}, "methods are compared on the same modalities"),
        ({"baselines: [late]": "baselines: [late, concat]\n  "}, "the method that all others are held against"),
        ({"  controls: {}": "  controls: {c: {of: concat, kind: shuffled, set: ['data.shuffle={stream: uv}']}}"},
         "this study compares methods; expected {}"),
        ({"compares: methods": "compares: methods\n  by: [species]"}, "this study compares methods; expected []"),
        ({"compares: methods": "compares: losses"}, "expected one of modalities, methods"),
    ],
)  # fmt: skip
def test_what_a_study_of_methods_may_not_have(tmp_path, change, says):
    text = tiny.changed(AS_METHODS)
    for old, new in change.items():
        assert old in text
        text = text.replace(old, new)
    with pytest.raises(ConfigError) as error:
        check_command([tiny.write(tmp_path, {tiny.TINY: text}), "study=tiny"])
    assert says in str(error.value)


def test_methods_that_see_the_same_modalities_may_be_compared(tmp_path):
    check_command([tiny.write(tmp_path, AS_METHODS), "study=tiny"])
