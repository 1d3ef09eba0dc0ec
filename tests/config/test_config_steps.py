"""The rules of the time axis, before anything is built."""

import re

import pytest

from multimodal_lab.config.check import check_command
from multimodal_lab.config.problem import ConfigError
from multimodal_lab.config.rules.steps import backbone_steps, longest, op_steps, timed

BACKBONE = {"_target_": "multimodal_lab.backbone.vector.Vector"}
OVER_TIME = {"_target_": f"{__name__}.OverTime"}


class OverTime:
    """What states that it works along time."""

    kinds = ("vector",)
    steps = True


def said(rule, modality, **tree):
    return [str(p) for p in rule({"modality": modality, **tree})]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"kind": "vector", "steps": None, "rate": 50, "longer": "cut"}, []),
        ({"kind": "vector"}, []),
        ({"kind": "text", "steps": None}, ["modality.s.steps=null: a stream of kind text has no time axis"]),
        (
            {"kind": "vector", "rate": 50},
            [
                "modality.s.rate=50: belongs to a time axis, which steps gives: null as long as the training split's longest "
                "recording (nearest: modality.s.steps=null)"
            ],
        ),
    ],
)
def test_which_streams_may_have_a_time_axis(facts, expected):
    assert said(timed, {"s": facts}) == expected


@pytest.mark.parametrize(
    ("has", "node", "expected"),
    [
        (True, OVER_TIME, ""),
        (False, BACKBONE, ""),
        (
            True,
            BACKBONE,
            r"^backbone=vector: reads streams without a time axis, and modality\.s has a time axis \(steps\)",
        ),
        (
            False,
            OVER_TIME,
            r"reads streams with a time axis, and modality\.s has none; modality\.s\.steps=null gives it one",
        ),
        (True, {"_target_": f"{__name__}.said"}, ""),  # it states nothing
    ],
)
def test_a_backbone_meets_the_streams_that_it_states(has, node, expected):
    stream = {"kind": "vector", **({"steps": None} if has else {})}
    found = said(backbone_steps, {"s": stream}, backbone=node)
    assert len(found) == bool(expected)
    if expected:
        assert re.search(expected, found[0])


def test_the_longest_recording_is_not_known_from_some_of_them():
    stream = {"s": {"kind": "vector", "steps": None}}
    assert said(longest, stream, data={"statistics": "train"}) == []
    assert said(longest, {"s": {"kind": "vector", "steps": 90}}, data={"statistics": 64}) == []
    (found,) = said(longest, stream, data={"statistics": 64})
    assert "modality.s.steps=null: the longest of the training split, of which data.statistics reads some" in found


def test_an_op_along_time_needs_a_stream_that_has_it():
    ops = {"augment": {"ops": {"warp": OVER_TIME}}}
    still, moving = {"kind": "vector"}, {"kind": "vector", "steps": 5}
    assert said(op_steps, {"a": still, "b": moving}, **ops) == []
    (found,) = said(op_steps, {"a": still}, **ops)
    assert "augment.ops.warp" in found
    assert "works along time, and a has no time axis; remove it (nearest: ~augment.ops.warp)" in found


def test_a_command_line_is_told_before_data_are_read():
    line = [
        "data=utd_mhad",
        "data.root=x",
        "modality=inertial",
        "backbone=vector",
        "fusion=separate",
        "augment=none",
        "augment.views=2",
    ]
    with pytest.raises(
        ConfigError, match=r"backbone=vector: reads streams without a time axis, and modality\.inertial has"
    ):
        check_command([*line, "+modality.inertial.steps=null"])
    with pytest.raises(ConfigError, match=r"modality\.inertial\.steps=0: expected an integer >= 1"):
        check_command([*line, "+modality.inertial.steps=0"])
    with pytest.raises(ConfigError, match=r"longer=crop: expected one of refuse, cut"):
        check_command([*line, "+modality.inertial.steps=9", "+modality.inertial.longer=crop"])
