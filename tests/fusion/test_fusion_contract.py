"""What every fusion of conf/fusion promises; a new file there tests itself."""

from __future__ import annotations

import inspect

import pytest
from contract import fusion as contract
from contract.owed import called, settings

from multimodal_lab.config.facts import fact
from multimodal_lab.config.signature import signature
from multimodal_lab.config.suggest import nodes

NODES = nodes("fusion")
CASES = [(name, knobs) for name, node in NODES.items() for knobs in settings(node["_target_"], list(contract.DIMS))]
IDS = [called(*case) for case in CASES]
ADDING = [name for name, node in NODES.items() if fact(node["_target_"], "emits")]
DIVIDED = [name for name, node in NODES.items() if {"width", "heads"} <= signature(node["_target_"]).parameters.keys()]


def test_every_knob_is_in_the_yaml_with_its_default(build):
    for name, node in NODES.items():
        knobs = inspect.signature(type(build(name, {"a": 8}))).parameters
        conf = {k: v for k, v in node.items() if not k.startswith("_")}
        assert conf == {k: p.default for k, p in knobs.items() if p.kind is p.KEYWORD_ONLY}, name


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize(("name", "knobs"), CASES, ids=IDS)
def test_it_gives_what_it_owes(name, knobs, check, build):
    def made(dims):
        own = {k: v for k, v in knobs.items() if not isinstance(v, str) or v not in contract.DIMS or v in dims}
        return build(name, dims, **own)

    check(contract.Made(called(name, knobs), made))


@pytest.mark.parametrize("name", ADDING)
def test_streams_named_fused_and_no_streams_are_refused(name, build):
    with pytest.raises(ValueError, match="'fused'"):
        build(name, {"rgb": 8, "fused": 8})
    with pytest.raises(ValueError, match="at least one stream"):
        build(name, {})


@pytest.mark.parametrize("name", DIVIDED)
def test_heads_that_do_not_divide_are_refused_with_those_that_do(name, build):
    with pytest.raises(ValueError, match=rf"fusion={name}: heads=4 doesn't divide width=6; heads that do: 1, 2, 3, 6"):
        build(name, {"a": 6}, width=6)
