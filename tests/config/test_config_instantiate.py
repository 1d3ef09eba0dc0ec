import os
from functools import partial
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from torch import nn

from multimodal_lab.config import instantiate as door
from multimodal_lab.config.instantiate import TargetError, safe_instantiate, verify
from multimodal_lab.config.targets import allowed
from multimodal_lab.data.source import DataError
from multimodal_lab.types import Stream

UNSAFE = Path(__file__).with_name("unsafe_targets.txt").read_text(encoding="utf-8").split()

FORMS = {
    "top level": lambda target, arg: {"_target_": target, "_partial_": False, "command": arg},
    "nested": lambda target, arg: {"_target_": "torch.nn.MSELoss", "reduction": {"_target_": target, "command": arg}},
    "partial": lambda target, arg: {"_target_": target, "_partial_": True, "command": arg},
    "args": lambda target, arg: {"_target_": target, "_args_": [arg]},
    "list element": lambda target, arg: {"a": [1, {"b": [{"_target_": target, "command": arg}]}]},
    "resolved": lambda target, arg: {"n": {"_target_": "${t}", "command": arg}, "t": target},
}


@pytest.fixture
def never_built(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError(f"built {args} {kwargs}")

    monkeypatch.setattr(door, "instantiate", refuse)


def test_the_list_of_unsafe_targets_is_long_enough():
    assert len(set(UNSAFE)) >= 150


@pytest.mark.parametrize("form", FORMS)
def test_unsafe_targets_are_refused_in_every_place(form, never_built, tmp_path):
    marker = tmp_path / "marker"
    for target in UNSAFE:
        with pytest.raises(TargetError) as refused:
            safe_instantiate(FORMS[form](target, f"touch {marker}"))
        message = str(refused.value)
        if form == "args":
            assert message.startswith("_args_: not allowed")
        else:
            key = {"nested": "reduction._target_", "list element": "a.1.b.0._target_", "resolved": "n._target_"}
            assert message.startswith(f"{key.get(form, '_target_')}={target}:"), message
            assert sum(name in message for name in allowed()) >= 3, message
    assert not marker.exists()


def test_every_allowed_name_resolves_to_the_object_of_that_name():
    for name in allowed():
        verify(name, "_target_")


def test_another_object_under_an_allowed_name_is_refused(monkeypatch):
    import multimodal_lab.loss.clip as clip

    monkeypatch.setattr(clip, "clip", os.system)
    with pytest.raises(TargetError, match=r"resolves to posix\.system, which is another object"):
        safe_instantiate({"_target_": "multimodal_lab.loss.clip.clip", "_partial_": True})


def test_text_that_would_be_read_twice_is_refused():
    node = OmegaConf.create({"_target_": "torch.nn.MSELoss", "reduction": "\\${oc.create:{_target_:os.system}}"})
    with pytest.raises(TargetError, match="an interpolation is left"):
        safe_instantiate(node)


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ({"_target_": None}, "_target_=None"),
        ({"_target_": ["torch.nn.MSELoss"]}, "_target_="),
        ({"_target_": {"_target_": "torch.nn.MSELoss"}}, "_target_="),
        ({"_target_": "torch.nn.MSELoss "}, "nearest: torch.nn.MSELoss"),
        ({"_target_": "torch.nn.MSELoss", "_recursive_": False}, "_recursive_: not allowed"),
        ({"_target_": "torch.nn.MSELoss", "_convert_": "none"}, "_convert_: not allowed"),
        ({"_target_": "torch.nn.MSELoss", "_partial_": "yes"}, "expected true or false"),
        ({"a": {"_partial_": True}}, "a._partial_: there is no _target_"),
    ],
)
def test_malformed_special_keys(node, words):
    with pytest.raises(TargetError) as refused:
        safe_instantiate(node)
    assert words in str(refused.value)


def test_builds_nested_objects_with_plain_values():
    node = OmegaConf.create(
        {
            "size": 7,
            "loss": {
                "_target_": "multimodal_lab.keyed.Keyed",
                "fn": {"_target_": "multimodal_lab.loss.clip.clip", "_partial_": True},
                "z": "out.projection",
                "weights": ["${size}", 2],
                "temperature": {"_target_": "multimodal_lab.loss.schedule.LinearSchedule", "start": 0.2, "end": 0.1},
            },
        }
    )
    keyed = safe_instantiate(node.loss)
    assert keyed.paths == {"z": "out.projection"}
    assert type(keyed.constants["weights"]) is list
    assert keyed.constants["weights"] == [7, 2]
    assert isinstance(keyed.knobs["temperature"], nn.Module)


def test_dicts_lists_and_plain_values_pass():
    assert safe_instantiate(OmegaConf.create({})) == {}
    assert safe_instantiate({"a": [1, {"b": None}]}) == {"a": [1, {"b": None}]}
    assert safe_instantiate(None) is None


def test_an_error_of_a_component_comes_in_its_own_words(tmp_path):
    tiff = {"_target_": "multimodal_lab.data.readers.tiff.Tiff", "root": str(tmp_path / "no"), "card": None}
    with pytest.raises(DataError, match=r"^data.root: .*no is not there(\n|$)"):
        safe_instantiate({"_target_": "multimodal_lab.data.readers.card.card", "bands": [tiff]})
    with pytest.raises(TypeError, match="Tiff") as error:
        safe_instantiate({"_target_": "multimodal_lab.data.readers.tiff.Tiff"})
    assert error.value.__notes__ == ["while building multimodal_lab.data.readers.tiff.Tiff"]


def test_objects_given_by_code_arrive_as_they_are():
    streams = {"rgb": Stream("rgb")}
    node = {"_target_": "multimodal_lab.augment.augment.Augment", "ops": {}, "views": 1}
    assert safe_instantiate(node, streams=streams).streams is streams
    factory = safe_instantiate({**node, "_partial_": True}, streams=streams)
    assert isinstance(factory, partial)
    assert factory.keywords["streams"] is streams


def test_an_argument_that_the_config_also_sets_is_refused():
    with pytest.raises(TargetError, match="views comes from code"):
        safe_instantiate({"_target_": "multimodal_lab.augment.augment.Augment", "views": 1}, views=2)
