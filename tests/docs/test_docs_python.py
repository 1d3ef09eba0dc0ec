"""docs/python.md: its programs run as they are written."""

import re
from pathlib import Path

import pytest
import torch

from multimodal_lab.config.problem import ConfigError
from multimodal_lab.experiment.compose import build_system
from multimodal_lab.types import Band, Batch, Stream

PAGE = (Path(__file__).parents[2] / "docs/python.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.S)
STREAMS = {"rgb": Stream("rgb", bands=tuple(map(Band, "RGB")), size=16)}


def test_a_system_trains_in_a_bare_loop():
    own = {}
    exec(PROGRAMS[0], own)
    assert torch.isfinite(own["loss"])
    assert all(p.grad is not None for p in own["system"].parameters())
    assert own["system"].heads["classifier"].layers[-1].out_features == 2


@pytest.mark.filterwarnings("ignore")
def test_a_system_trains_in_a_lightning_module():
    pytest.importorskip("pytorch_lightning")
    own = {}
    exec(PROGRAMS[0], own)
    before = {name: p.clone() for name, p in own["system"].named_parameters()}
    exec(PROGRAMS[1], own)
    assert own["trainer"].global_step == 2
    assert any(not torch.equal(p, before[name]) for name, p in own["system"].named_parameters())


def test_programs_are_short():
    lines = [[line for line in p.splitlines() if line.strip() and "import" not in line] for p in PROGRAMS]
    assert [len(own) <= 11 for own in lines] == [True, True]


def test_without_streams_it_is_built_for_the_data():
    words = [
        "data.source.individuals=64",
        "data.source.size=16",
        "data.source.species=4",
        "data.split.stratify=species",
    ]
    system = build_system([*words, "backbone.widths=[8]", "fusion=concat", "head=classifier", "loss=cross_entropy"])
    assert set(system.streams) == {"rgb", "uv"}
    assert len(system.streams["rgb"].mean) == 3


def test_numbers_and_a_frozen_part():
    words = ["fusion=separate", "backbone.widths=[8]", "head=regressor", "loss=mse", "adapt=freeze"]
    system = build_system(words, streams=STREAMS, numbers={"mm": (10.0, 2.0)})
    assert float(system.heads["regressor"].mean) == 10
    assert not any(p.requires_grad for p in system.backbones.parameters())
    terms = system(Batch.of({"rgb": torch.rand(4, 3, 16, 16)}, {"mm": torch.rand(4)}))
    assert torch.isfinite(terms["total"])


def test_a_system_that_asks_for_a_teacher_has_one():
    streams = {name: Stream(name, bands=STREAMS["rgb"].bands, size=16) for name in ("rgb", "uv")}
    words = ["fusion=separate", "head=projection", "loss=moco", "loss.fn.queue=16", "system.teacher_momentum=0.9"]
    system = build_system([*words, "backbone.widths=[8]"], streams=streams)
    terms = system(Batch.of({name: torch.rand(4, 3, 16, 16) for name in streams}))
    assert torch.isfinite(terms["total"])
    assert not any(p.requires_grad for p in system.teacher.parameters())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fusion=conct"], r"fusion=conct: .*nearest: fusion=concat"),
        (["fusion.widht=3"], r"fusion\.widht=3: no such key"),
        (["backbone=vector"], r"vector"),
        (["fusion=separate", "loss=clip"], r"compares two streams, and the modality has one, rgb"),
        (["fusion=separate", "loss=simclr", "adapt=encoders", "adapt.runs=[]"], r"adapt\.runs"),
    ],
)
def test_what_can_not_be_built_is_told_as_on_the_command_line(words, said):
    with pytest.raises(ConfigError, match=said):
        build_system(words, streams=STREAMS)


def test_a_stream_has_the_name_that_it_is_given_by():
    with pytest.raises(ConfigError, match=r"streams\['uv'\]: the stream is called 'rgb'"):
        build_system([], streams={"uv": STREAMS["rgb"]})
