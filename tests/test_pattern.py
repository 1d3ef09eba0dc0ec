"""Regular expressions of a config: as Python's own, and never longer than their time."""

import re
import time

import pandas as pd
import pytest
from torch import nn

from multimodal_lab import text
from multimodal_lab.adapt.lora import lora
from multimodal_lab.data.readers import filename_labels, spectra
from multimodal_lab.data.source import DataError
from multimodal_lab.text import Pattern

NAME = "a" * 60
MANY_WAYS = "(?P<x>a*)" + "(a*)" * 9 + r"\2\3[^a]"  # some 60 ** 10 ways to cut the name


def labelled():
    filename_labels.parsed(filename_labels.compiled(MANY_WAYS), pd.DataFrame({"id": [NAME], "path": [f"{NAME}.png"]}))


def banded():
    spectra.bands_of_columns(pd.DataFrame({NAME: [1.0]}), MANY_WAYS, "", "nm", "x.csv")


def adapted():
    lora(nn.ModuleDict({"net": nn.ModuleDict({NAME: nn.Linear(2, 2)})}), modules=["net"], target_modules=MANY_WAYS)


PLACES = {
    "data.source.labels.pattern": (labelled, DataError),
    "data.source.pattern": (banded, DataError),
    "adapt.target_modules": (adapted, ValueError),
}


@pytest.mark.parametrize("key", PLACES)
def test_one_that_goes_through_too_many_ways_is_refused(monkeypatch, key):
    monkeypatch.setattr(text, "SECONDS", 0.02)
    match, error = PLACES[key]
    began = time.process_time()
    with pytest.raises(
        error, match=rf"^{re.escape(key)}: .* takes more than 0.02 s to match 'aaa.*without a repetition"
    ):
        match()
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (r"encoder\.layer\.[01]\..*\.(query|value)", "encoder.layer.1.attention.self.query"),
        (filename_labels.PRESETS["birds"], "Parus_major_0012_M_back_x"),
        (filename_labels.PRESETS["lepidoptera"], "Pieris_rapae_12D_140423"),
        (r"(?P<nm>[\d.]+)nm", "512.5nm"),
        (r"(?P<nm>[\d.]+)nm", "512.5 nm"),
    ],
)
def test_it_matches_as_pythons_own(words, name):
    ours, own = Pattern(words, "key").fullmatch(name), re.fullmatch(words, name)
    assert (ours and ours.groupdict()) == (own and own.groupdict())
    assert Pattern(words, "key").groups == list(re.compile(words).groupindex)
