"""What holds of every kind of data: facts as the source says, batches as the facts say."""

import subprocess
import sys

import pytest
import torch

from multimodal_lab.config import kind_facts
from multimodal_lab.data import kinds
from multimodal_lab.data.kind import Kind
from multimodal_lab.types import Band, Stream

NAMES = sorted(kinds.built_in())
FACTS = [name for name in vars(Kind) if name in Kind.__annotations__]
STREAM = Stream("x", bands=(Band("G"), Band("R"), Band("B"), Band("UV")), size=8, length=5, vocab=9)


@pytest.mark.parametrize("name", NAMES)
def test_facts_read_from_the_source_are_those_of_the_object(name):
    assert {f: kind_facts.fact(name, f) for f in FACTS} == {f: getattr(kinds.get(name), f) for f in FACTS}


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_batch_is_of_the_shape_and_type_that_the_facts_say(name):
    kind = kinds.get(name)
    empty = kind.empty(STREAM, 3)
    assert empty.shape == (3, *kind.shape(STREAM))
    assert empty.dtype is (torch.int64 if kind.integer else torch.float32)
    assert torch.isnan(empty).all() if kind.pixelwise else not empty.any()  # of a missing map nothing is known
    if kind.pixelwise:
        assert empty.ndim == 1 + kind.axes  # it has one band
    elif kind.has_bands:
        assert empty.ndim == 2 + kind.axes
        per_band = torch.arange(4.0).view(kind.per_band(STREAM))
        assert (empty + per_band)[0].reshape(4, -1)[:, 0].tolist() == [0, 1, 2, 3]
    if kind.pictured:
        assert kind.picture(empty, STREAM).shape[:2] == (3, 3)


def test_a_colour_image_is_shown_in_its_colours_whatever_the_order_of_bands():
    x = torch.arange(4.0).view(1, 4, 1, 1)
    assert kinds.of(STREAM).picture(x, STREAM).flatten().tolist() == [1, 0, 2]


def test_kinds_are_listed_without_importing_one():
    program = (
        "import sys; from multimodal_lab.data import kinds; from multimodal_lab.config.kind_facts import fact\n"
        "assert set(kinds.names()) >= {'image', 'text', 'vector'}; assert fact('image', 'spatial') is True\n"
        "assert not {'torch', 'numpy', 'multimodal_lab.data.kinds.image'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_an_unknown_kind_is_told_with_the_nearest():
    with pytest.raises(kinds.KindError, match=r"'imge' is not a kind; there are .*image.* \(nearest: image\)"):
        kinds.get("imge")
