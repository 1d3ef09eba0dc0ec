"""What the data tests share."""

import pytest
from made_source import Made

from multimodal_lab.data.dataset import Data
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import DtypeMax


@pytest.fixture
def made():
    return Made


@pytest.fixture
def data():
    def build(source=None, **changes):
        facts = {"scaling": DtypeMax(), "split": Split(by="group", train=0.5, val=0.25, test=0.25), "labels": ["kind"]}
        facts |= {"batch_size": 5, **changes}
        return Data(source or Made(), **facts)

    return build


@pytest.fixture
def rgb_uv():
    return {"rgb": {"kind": "image", "bands": ["R", "G"]}, "uv": {"kind": "image", "bands": ["UV*"]}}
