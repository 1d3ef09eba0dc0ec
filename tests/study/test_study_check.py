"""A study that can't be compared is refused before its first cell, in a sentence that names the key."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from tiny import write

from multimodal_lab.config.check import check_command
from multimodal_lab.config.plain import as_plain
from multimodal_lab.config.study import Study, warnings
from multimodal_lab.config.targets import conf_dir
from multimodal_lab.runs import hashes
from multimodal_lab.study.design.cells import Cells

RGB = "[modality=rgb, fusion=separate]"


def tune(options):
    """The change that makes the study tune."""
    return {"tune: null": f"tune: {{options: {options}}}"}


WRONG = [
    ({RGB: "[modality=rbg, fusion=separate]"}, "(arm rgb) expected one of"),
    ({RGB: "[modality=rgb, fusion=separate, train.epochs=9]"}, "train.epochs=auto: in arm concat, but 9 in rgb"),
    (
        {RGB: "[modality=rgb, fusion=separate, train.max_steps=9]"},
        "equal budgets (nearest: study.unequal=[train.max_steps])",
    ),
    ({RGB: "[modality=rgb, fusion=separate, data.batch_size=8]"}, "data.batch_size"),
    ({RGB: "[modality=rgb, fusion=separate, augment=classify]"}, "augment.ops"),
    ({RGB: "[modality=rgb, fusion=separate, data.split.test=0.3, data.split.val=0.2]"}, "data.split.test"),
    (
        {
            RGB: "[modality=rgb, fusion=separate, data.split.test=0.3, data.split.val=0.2]",
            "unequal: []": "unequal: [data]",
        },
        "arms are compared on the same samples",
    ),
    ({RGB: "[modality=rgb, fusion=separate, 'train.epochs=1,2']"}, "an arm is one config, not several"),
    ({RGB: "[modality=rgb, fusion=separate, seed=3]"}, "seed=3: (arm rgb) is the study's: study.seeds"),
    (
        {"baselines: [rgb]": "baselines: [rbg]"},
        "study.baselines=rbg: no such arm; there are rgb, concat (nearest: rgb)",
    ),
    ({"baselines: [rgb]": "baselines: [rgb, concat]"}, "at least one arm among the baselines and one that is not"),
    ({"of: concat": "of: concta"}, "study.controls.shuffled.of=concta: no such arm"),
    (
        {"kind: shuffled": "keeps: rbg, kind: duplicate"},
        "study.controls.shuffled.keeps=rbg: no such baseline; there are rgb (nearest: rgb)",
    ),
    ({"kind: shuffled": "keeps: rgb, kind: shuffled"}, "keeps=rgb: of a shuffled control: expected null"),
    ({"kind: shuffled": "kind: mixed"}, "expected one of shuffled, duplicate"),
    ({"stream: uv": "stream: nir"}, "data.shuffle.stream=nir"),
    ({"seeds: [0, 1]": "seeds: [0, 0]"}, "none twice"),
    ({"seeds: [0, 1]": "seeds: []"}, "at least one"),
    ({"seeds: [0, 1]": "seeds: [0, -1]"}, "study.seeds.1=-1"),
    ({"labels: [species, sex]": "labels: [species, sox]"}, "study.labels=sox: the data have no such label"),
    ({"unequal: []": "unequal: []\n  by: [sox]"}, "study.by=sox: the data have no such label"),
    ({"margin: 0.02": "margin: big"}, "study.margin=big"),
    ({"margin: 0.02": "margins: 0.02"}, "study.margins=0.02: no such key"),
    ({"margin: 0.02": "margin: 2"}, "study.margin=2: of species: expected less than 1 (0.02 is 2 points)"),
    ({"margin: 0.02": "score: aurocc"}, "(nearest: study.score=auroc)"),
    (
        {"margin: 0.02": "score: {specie: auroc}"},
        "study.score.specie=auroc: no such label; there are species, sex",
    ),
    ({"    rgb: [": "    r-g: ["}, "not a name"),
    ({"    shuffled: {": "    rgb: {"}, "is an arm already"),
    (tune("[[optim.lr=1e-4]]"), "at least two to choose among"),
    (tune("[[optim.lr=1e-4], [optim.lr=1e-2]], seeds: [1]"), "study.tune.seeds=1: is a seed of the study"),
    (tune("[[optim.lr=1e-4], [optim.lrs=1e-2]]"), "(arm rgb with optim.lrs=1e-2) no such key"),
    (tune("[[optim.lr=1e-4], [optim.lr=0.0001]]"), "is the same configuration as ['optim.lr=1e-4']"),
    (tune("[[data.split.val=0.2], [data.split.val=0.1]]"), "data.split.val: can't be tuned"),
    (tune("[['evaluate=[knn]'], []]"), "evaluate: can't be tuned"),
    (tune("[[], ['data=specimens', data.source.noise=0.1]]"), "data.source.noise: can't be tuned"),
    (tune("[['data.shuffle={stream: uv}'], []]"), "data.shuffle: can't be tuned"),
    (tune("[[data.batch_size=8], []], score: loss"), "the option data.batch_size changes the loss itself"),
    (
        tune("[[optim.lr=1e-4], []], set: [train.epochs=9]"),
        "study.tune.set=train.epochs=9: expected overrides of data.split",
    ),
    (tune("[[optim.lr=1e-4], []], score: best"), "expected one of probe, loss"),
    (
        {**tune("[[optim.lr=1e-4], []]"), RGB: "[modality=rgb, fusion=separate, optim.lr=0.1]"},
        "arm rgb sets optim.lr itself",
    ),
    ({"tune: null": "tuning: {rgb: 8}"}, "study.tuning={rgb: 8}: no such key"),
    ({"tune: null": "retrain: rgb"}, "study.retrain=rgb: expected a fused arm"),
    ({"tune: null": "retrain: conct"}, "study.retrain=conct: no such arm"),
    (
        {
            "tune: null": "retrain: early",
            "    concat:": "    early: [modality=rgb_uv_stacked, fusion=separate]\n    concat:",
        },
        "has one input, stacked",
    ),
]
TYPED = [
    ("fusion=attention", "arm rgb sets fusion=separate itself; change study.arms.rgb"),
    ("optim.lr=1e-3,1e-4", "a study runs its own arms, seeds and splits"),
    ("seed=3", "a study has several; give study.seeds (nearest: study.seeds=[3])"),
    ("data.split.seed=3", "study.splits=[3]"),
    ("study.seeds=3", "study.seeds=3: expected a list of an integer >= 0 (nearest: study.seeds=[3])"),
    ("study.labels=coin", "(nearest: study.labels=[coin])"),
    ("data.labels=coin", "(nearest: data.labels=[coin])"),
]


@pytest.mark.parametrize(("changes", "words"), WRONG, ids=[w for _, w in WRONG])
def test_a_study_that_cannot_be_compared_is_refused(refusal, changes, words):
    assert words in refusal(changes)


@pytest.mark.parametrize(("line", "words"), TYPED, ids=[line for line, _ in TYPED])
def test_what_is_typed_beside_a_study_fits_to_it(refusal, line, words):
    assert words in refusal({}, line)


def test_what_is_wrong_with_every_arm_is_told_once(refusal):
    said = refusal({}, "data.batch_size=0")
    assert said.count("data.batch_size=0") == 1
    assert "(every arm)" in said


def test_options_are_scored_on_a_validation_part_that_is_there(refusal):
    """A split that has none is refused, with what to set; cut off the training part in tuning cells alone, it is there."""
    said = refusal(tune("[[optim.lr=1e-4], []]"), "data.split.val=0", "data.split.train=0.6")
    assert (
        "data.split.val=0: (arm rgb with optim.lr=1e-4) options are scored on the validation part, and there is none"
        in said
    )
    assert "study.tune.set=[data.split.train=…, data.split.val=…]" in said
    assert "is tuned; take it out" in refusal(tune("[[optim.lr=1e-4], []]"), "optim.lr=0.1")
    assert "evaluate has none" in refusal(tune("[[optim.lr=1e-4], []]"), "evaluate=[knn]")


def test_good_ones_pass_and_unequal_keys_do_where_the_study_says_so(tmp_path):
    check_command([write(tmp_path), "study=tiny", "study.seeds=[4]", "optim.lr=0.1", "train.epochs=1"])
    own = tune("[[optim.lr=1e-4], []], set: [data.split.train=0.4, data.split.val=0.2]")
    check_command([write(tmp_path, own), "study=tiny", "data.split.val=0", "data.split.train=0.6"])
    changes = {RGB: "[modality=rgb, fusion=separate, optim.lr=0.5]", "unequal: []": "unequal: [optim]"}
    check_command([write(tmp_path, changes), "study=tiny"])


def test_cells_are_named_by_what_changes_numbers():
    study = Study({"rgb": ["modality=rgb"], "concat": ["fusion=concat"]}, ["rgb"], ["sex"], seeds=[0, 1], splits=[0, 2])

    def named(*typed):
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            return Cells(study, lambda lines: compose("config", [*typed, *lines])).compared({})

    first = named()
    assert len({c.key for c in first}) == 8 == len({c.folder for c in first})
    assert [(c.arm, c.seed, c.split) for c in first[:3]] == [("rgb", 0, 0), ("concat", 0, 0), ("rgb", 1, 0)]
    same = named("log=none", "dir=elsewhere", "resume=auto", "device=cpu", "data.workers=3", "figures=[]", "name=x")
    assert [c.key for c in same] == [c.key for c in first]
    for line in ("optim.lr=0.5", "data.source.noise=0.1", "train.ema=0.9", "evaluate=[probe]"):
        assert not {c.key for c in named(line)} & {c.key for c in first}
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):  # as the job itself will see it
        own = compose("config", [*first[-1].overrides, "resume=auto"])
        assert hashes.config_key(as_plain(OmegaConf.masked_copy(own, list(own)))) == first[-1].key


def test_weak_designs_are_warned_of():
    study = Study({"rgb": [], "concat": []}, ["rgb"], ["sex"], seeds=[0, 1])
    said = warnings(study)
    assert "2 seeds, fewer than 3" in said[0]
    assert ["shuffled control" in s for s in said[1:]] == [True, False]
    assert "no duplicate control" in said[2]
