"""Columns of BigEarthNet's table that say whether a patch has one label."""

import pandas as pd
import pytest

from multimodal_lab.data.readers.bigearthnet import BigEarthNet
from multimodal_lab.data.readers.bigearthnet_present import with_present
from multimodal_lab.data.source import DataError
from multimodal_lab.data.synthetic.sentinel import Sentinel


def test_a_column_says_of_each_patch_whether_it_has_the_label():
    made = Sentinel(patches=40, size=8, tiles=4)
    source = BigEarthNet(None, made=made, present={"pastures": "Pastures"})
    assert source.samples["pastures"].tolist() == [
        "yes" if "Pastures" in labels else "no" for labels in made.samples["labels"]
    ]
    assert set(source.samples["pastures"]) == {"yes", "no"}
    assert source.samples.attrs == made.samples.attrs
    assert "pastures" not in made.samples
    unknown = with_present(pd.DataFrame({"labels": [None, ["Pastures"]]}), {"p": "Pastures"})
    assert unknown["p"].tolist() == [None, "yes"]


def test_what_cannot_be_a_column_is_refused():
    rows = pd.DataFrame({"labels": [["Pastures"]]})
    with pytest.raises(DataError, match=r"present\.p=Pasture: no label of BigEarthNet; .*nearest: Pastures"):
        with_present(rows, {"p": "Pasture"})
    with pytest.raises(DataError, match=r"present\.labels: the table has a column labels of its own"):
        with_present(rows, {"labels": "Pastures"})
