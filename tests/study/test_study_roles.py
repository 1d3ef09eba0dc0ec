"""A control that isn't its arm without the information, and a baseline that is no single modality, are refused by name."""

import pytest
from tiny import write

from multimodal_lab.config.check import check_command
from multimodal_lab.config.study import Control, Study
from multimodal_lab.study.design import roles

CONTROL = "{of: concat, kind: shuffled, set: ['data.shuffle={stream: uv}']}"
RGB = "[modality=rgb, fusion=separate]"
CONCAT = "[modality=rgb_uv, fusion=concat]"
EARLY = "[modality=rgb_uv_stacked, fusion=separate]"


def control(kind, *own):
    """The change that gives the study this control instead of its own."""
    return {CONTROL: f"{{of: concat, kind: {kind}, set: [{', '.join(own)}]}}"}


WRONG = [
    (control("duplicate", "modality=rgb"), "modality=[rgb]: in control shuffled: expected 2 inputs as in its arm concat"),
    (control("duplicate"), "modality=[rgb, uv]: in control shuffled: expected another than that of its arm concat"),
    (control("duplicate", "modality=rgb_nir"), "modality=[rgb, nir]: in control shuffled: expected inputs cut alike"),
    (
        control("duplicate", "modality=rgb_rgb", "'backbone.widths=[2,2]'"),
        "backbone.widths=[2, 2]: in control shuffled, but [32, 64, 128, 128] in its arm concat: "
        "a duplicate control differs in modality alone",
    ),
    (control("duplicate", "modality=rgb_rgb", "fusion.width=4"), "fusion.width=4: in control shuffled, but"),
    (
        control("duplicate", "modality=rgb_rgb", "'data.shuffle={stream: again}'"),
        "data.shuffle={stream: again}: in control shuffled: expected null, a duplicate re-pairs nothing",
    ),
    (
        {**control("duplicate", "modality=rgb"), CONCAT: EARLY},
        "modality.rgb.repeat=1: in control shuffled: expected 2 or more",
    ),
    (control("shuffled"), "data.shuffle=null: in control shuffled: expected a stream, a shuffled control re-pairs one"),
    (
        control("shuffled", "modality=rgb_uv_stacked", "'data.shuffle={stream: stacked, bands: [R]}'"),
        "modality=[stacked]: in control shuffled: expected [rgb, uv] as in its arm concat",
    ),
    (
        control("shuffled", "'data.shuffle={stream: uv}'", "train.epochs=9"),
        "train.epochs=9: in control shuffled, but auto in its arm concat: a shuffled control differs in data.shuffle alone",
    ),
    (
        {CONCAT: "[modality=rgb_uv, fusion=concat, 'data.shuffle={stream: uv}']", "unequal: []": "unequal: [data]"},
        "in control shuffled: expected another than that of its arm concat",
    ),
    ({RGB: CONCAT}, "study.baselines=rgb: rgb has 2 inputs, rgb, uv: expected one, a baseline is a single modality"),
    (
        {RGB: "[modality=rgb, fusion=separate, 'data.shuffle={stream: rgb, bands: [R]}']", "unequal: []": "unequal: [data]"},
        "in baseline rgb: expected null",
    ),
    (
        {RGB: "[modality=rgb, fusion=separate, 'backbone.widths=[2,2]']"},
        "backbone.widths=[32, 64, 128, 128]: in arm concat, but [2, 2] in rgb: arms are compared with equal backbones "
        "(nearest: study.unequal=[backbone.widths])",
    ),
    ({RGB: "[modality=rgb, fusion=separate, backbone.freeze=true]"}, "backbone.freeze=false: in arm concat, but true in rgb"),
    ({RGB: "[modality=rgb, fusion=separate, backbone=resnet18]"}, "(nearest: study.unequal=[backbone])"),
    (
        {CONCAT: "[modality=rgb_uv, fusion=concat, +backbone@backbones.rgb=resnet18]"},
        "in arm concat, but multimodal_lab.backbone.convnet.ConvNet in rgb",
    ),
    ({RGB: "[modality=rgb, fusion=separate, adapt=freeze]"}, "adapt._target_=null: in arm concat, but"),
    ({RGB: "[modality=rgb, fusion=separate, eval_split=val]"}, "eval_split=val: (arm rgb) a study is judged on the test part"),
    (
        {RGB: "[modality=rgb, fusion=separate, 'evaluate=[knn]']"},
        "evaluate=[knn]: (arm rgb) a study judges what an evaluator predicts of each sample, and evaluate has none",
    ),
    (
        {"mixed: false": "mixed: false\n  evaluator: head", "[probe]": "[probe, head]"},
        "study.evaluator=head: (every arm) does not judge every label (species, sex); is it among evaluate, and has each "
        "label a head? There is probe (nearest: study.evaluator=probe)",
    ),
]  # fmt: skip
TYPED = [
    ("eval_split=val", "eval_split=val: (every arm) a study is judged on the test part"),
    (
        "evaluate=[]",
        "evaluate=[]: (every arm) a study judges what an evaluator predicts of each sample, and evaluate has none",
    ),
]
GOOD = [
    control("duplicate", "modality=rgb_rgb"),
    {CONTROL: "{of: concat, kind: duplicate, set: [modality=rgb_rgb_stacked]}", CONCAT: EARLY},
    {RGB: "[modality=rgb, fusion=separate, 'backbone.widths=[2,2]']", "unequal: []": "unequal: [backbone.widths]"},
    {RGB: "[modality=rgb, fusion=separate, adapt=freeze]", "unequal: []": "unequal: [adapt]"},
    {
        CONCAT: "[modality=rgb_uv, fusion=concat, +backbone@backbones.rgb=resnet18]",
        RGB: "[modality=rgb, fusion=separate, backbone=resnet18]",
    },
]


@pytest.mark.parametrize(("changes", "words"), WRONG, ids=[w for _, w in WRONG])
def test_an_arm_that_is_not_what_its_role_says_is_refused(refusal, changes, words):
    assert words in refusal(changes)


@pytest.mark.parametrize(("line", "words"), TYPED, ids=[line for line, _ in TYPED])
def test_what_is_typed_leaves_every_role_as_it_is(refusal, line, words):
    assert words in refusal({}, line)


@pytest.mark.parametrize("changes", GOOD, ids=range(len(GOOD)))
def test_what_a_kind_of_control_changes_and_what_unequal_names_passes(tmp_path, changes):
    check_command([write(tmp_path, changes), "study=tiny"])


def tree(streams, **own):
    """A plain config of images alone."""
    facts = {name: {"kind": "image", "bands": take} for name, take in streams.items()}
    plain = {
        "modality": facts,
        "backbone": {"widths": [2]},
        "backbones": {},
        "evaluate": {"probe": {"_target_": "multimodal_lab.evaluate.probe.Probe"}},
        "eval_split": "test",
    }
    return {**plain, "data": {"shuffle": None}, **own}


def test_a_stream_s_own_backbone_follows_the_name_that_it_has_in_a_duplicate():
    study = Study({"rgb": [], "both": []}, ["rgb"], ["sex"], {"twice": Control("both", "duplicate", [])})
    wide = {"widths": [8]}
    arms = {"rgb": tree({"rgb": "R"}), "both": tree({"rgb": "R", "uv": "UV"}, backbones={"uv": wide})}
    follows = tree({"rgb": "R", "again": "R"}, backbones={"again": wide})
    assert [*roles.problems(study, {**arms, "twice": follows}), *roles.unlike(study, {**arms, "twice": follows})] == []
    smaller = tree({"rgb": "R", "again": "R"})
    assert [p.key for p in roles.problems(study, {**arms, "twice": smaller})] == ["backbones.again.widths"]
    arms["both"]["modality"]["uv"]["kind"] = "text"  # which no backbone of images reads: the other is read as it is
    assert [*roles.problems(study, {**arms, "twice": smaller})] == []


def test_a_duplicate_says_which_baseline_it_keeps_by_what_it_sees_and_no_other():
    controls = {
        n: Control("both", "duplicate", [], keeps) for n, keeps in (("first", None), ("second", None), ("other", None))
    }
    study = Study({"rgb": [], "uv": [], "both": []}, ["rgb", "uv"], ["sex"], controls)
    plain = {"rgb": tree({"rgb": "R"}), "uv": tree({"uv": "UV"}), "both": tree({"rgb": "R", "uv": "UV"})}
    seen = {"first": {"rgb": "R", "again": "R"}, "second": {"stacked": "UV"}, "other": {"g": "G", "again": "G"}}
    plain |= {name: tree(own) for name, own in seen.items()}
    plain["second"]["modality"]["stacked"]["repeat"] = 2
    found = roles.keeping(study, plain)
    assert {n: c.keeps for n, c in found.controls.items()} == {"first": "rgb", "second": "uv", "other": None}
    wrong = Study(study.arms, study.baselines, ["sex"], {"first": Control("both", "duplicate", [], "uv")})
    assert [str(p) for p in roles.problems(wrong, {k: plain[k] for k in ("rgb", "uv", "both", "first")})] == [
        "study.controls.first.keeps=uv: control first sees [rgb, again], cut otherwise than the input of that baseline "
        "(nearest: rgb)"
    ]


def test_a_stream_that_no_other_arm_has_is_held_against_the_first_arm():
    study = Study({"rgb": [], "early": []}, ["rgb"], ["sex"])
    arms = {"rgb": tree({"rgb": "R"}), "early": tree({"stacked": ["R", "UV"]}, backbone={"widths": [8]})}
    assert [str(p) for p in roles.unlike(study, arms)] == [
        "backbone.widths=[8]: in arm early, but [2] in rgb: arms are compared with equal backbones "
        "(nearest: study.unequal=[backbone.widths])"
    ]


def judged(*labels, evaluators=("head", "probe"), **own):
    nodes = {name: {"_target_": f"multimodal_lab.evaluate.{name}.{name.title()}"} for name in evaluators}
    heads = {
        f"h{i}": {"_target_": "multimodal_lab.head.classifier.Classifier", "label": one} for i, one in enumerate(labels)
    }
    return tree({"rgb": "R"}, evaluate=nodes, head={}, heads=heads, **own)


@pytest.mark.parametrize(
    ("arms", "asked", "expected"),
    [
        ((judged("sex"), judged("sex", "morph")), None, "head"),  # every arm was trained to tell the label
        ((judged("sex"), judged("morph")), None, "probe"),  # heads of one arm say nothing of it
        ((judged("sex"), judged("sex")), "probe", "probe"),
        ((judged("sex", evaluators=("probe", "head")), judged("sex")), None, "probe"),  # in the order of evaluate
        ((judged("sex", evaluators=("head",)), judged("sex", evaluators=("probe",))), None, ""),
    ],
)
def test_the_evaluator_that_judges_every_label_in_every_arm(arms, asked, expected):
    study = Study({"rgb": [], "uv": []}, ["rgb"], ["sex"], evaluator=asked)
    plain = dict(zip(("rgb", "uv"), arms, strict=True))
    assert roles.judge_of(study, plain) == expected
    wrong = [p.key for p in roles.problems(study, plain)]
    assert wrong == ([] if expected else ["evaluate"])
