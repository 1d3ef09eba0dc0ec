"""What every head of conf/head promises; a new file there tests itself."""

from __future__ import annotations

import inspect

import pytest
from contract import head as contract
from contract.owed import called, settings

from multimodal_lab.config.signature import signature
from multimodal_lab.config.suggest import nodes

NODES = nodes("head")
SMALL = {"separator": {"width": 16, "layers": 2, "n_fft": 32, "hop_length": 16}}  # the default's take seconds
CASES = [(name, knobs) for name, node in NODES.items() for knobs in settings(node["_target_"], ["b"])]
CASES += [(name, {**knobs, "norm": "batch"}) for name, knobs in CASES if knobs == {"shared": True}]


def test_every_knob_is_in_the_yaml_with_its_default(build):
    facts = {"classes", "several", "numbers", "self", "dims", "backbones", "fusion", "levels"}
    for name, node in NODES.items():
        knobs = inspect.signature(type(build(name, contract.DIMS))).parameters
        conf = {k: v for k, v in node.items() if not k.startswith("_")}
        assert set(conf) == set(knobs) - facts, name
        given = {k: v for k, v in conf.items() if not str(v).startswith("${")}
        defaults = {k: knobs[k].default for k in given}
        assert given == {k: list(v) if isinstance(v, tuple) else v for k, v in defaults.items()}, name


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize(("name", "knobs"), CASES, ids=[called(*case) for case in CASES])
def test_it_gives_what_it_owes(name, knobs, check, build):
    still = {"dropout": 0.0} if "dropout" in signature(NODES[name]["_target_"]).parameters else {}
    made = {**still, **SMALL.get(name, {}), **knobs}
    check(contract.Made(called(name, knobs), lambda: build(name, contract.DIMS, **made)))
