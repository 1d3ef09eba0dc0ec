"""Every backbone of conf/: shape, width, gradients, independence of rows. A new file there tests itself."""

import pytest
import timm
from contract import backbone
from contract.owed import CONF, called, factory

from multimodal_lab.config.facts import fact
from multimodal_lab.config.signature import signature
from multimodal_lab.config.suggest import nodes

NAMES = sorted(p.stem for p in (CONF / "backbone").glob("*.yaml"))
TINY = ("test_vit", "test_resnet", "test_convnext")  # of timm: a class token, batch norm, neither


def cases():
    """Each file that says what it builds; one that builds any timm model, with some of its tiny ones."""
    for name, node in nodes("backbone").items():
        takes = signature(node["_target_"]).parameters
        still = {"dropout": 0.0} if "dropout" in takes else {}
        yield from ((name, {**still, **m}) for m in ([{"model": t} for t in TINY] if "model" in takes else [{}]))


CASES = list(cases())
IDS = [called(*case) for case in CASES]


def made(name, knobs):
    node = nodes("backbone")[name]
    several = "streams" in signature(node["_target_"]).parameters
    kind = fact(node["_target_"], "kinds")[0]
    return backbone.made(name, factory("backbone", name, **knobs), kind, several=several)


@pytest.mark.parametrize("name", NAMES)
def test_every_file_composes_and_names_a_model_that_is_there(name):
    found = factory("backbone", name).keywords
    assert found
    if "model" in found:
        assert found["model"] in {*timm.list_models(), *timm.list_models(pretrained=True)}
        own = "." in found["model"]  # a tag of weights: the model is its weights
        assert found["weights"] == ("cache" if own else "random")


@pytest.mark.parametrize("check", [*backbone.CHECKS, backbone.other_kinds], ids=lambda c: c.__name__)
@pytest.mark.parametrize(("name", "knobs"), CASES, ids=IDS)
def test_it_gives_what_it_owes(name, knobs, check):
    check(made(name, knobs))


@pytest.mark.parametrize(("name", "knobs"), CASES, ids=IDS)
def test_freeze_freezes(name, knobs):
    backbone.freezes(made(name, knobs), made(name, {**knobs, "freeze": True}))
