"""What every reader that conf/data names promises, on made-up files; a new one needs `made_files.NAME` alone."""

import made_files
import numpy as np
import pandas as pd
import pytest
from contract import reader as contract

from multimodal_lab.config.suggest import nodes
from multimodal_lab.data.source import Raw
from multimodal_lab.types import Band

SOURCES = [node.get("source", {}) for node in nodes("data").values()]
TARGETS = {str(source["_target_"]) for source in SOURCES if isinstance(source, dict) and "_target_" in source} - {"???"}
NAMES = sorted("packed" if ".packed." in target else target.split(".")[-2] for target in TARGETS)
FILES = (
    "tiff",
    "band_files",
    "envi",
    "images",
    "pairs",
    "coco",
    "flickr30k",
    "imagefolder",
    "easy_vqa",
    "questions",
    "joined",
    "webdataset",
    "audio",
    "esc",
    "clotho",
    "video",
    "msrvtt",
    "activitynet",
)  # each reading opens a file of its own


def made(name, folder):
    opens = getattr(made_files, name, None)
    assert opens, (
        f"reader {name}: write {name}(folder) in tests/data/made_files.py, which makes small files and opens them"
    )
    return contract.Made(name, opens, folder, made_files.FIELD.get(name, ""))


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_it_gives_what_it_owes(name, check, tmp_path):
    check(made(name, tmp_path))


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named(name, tmp_path):
    contract.damaged(made(name, tmp_path))


class Wrong:
    """A reader of one file that keeps the contract, but for what a test changes."""

    def __init__(self, folder):
        (folder / "x.bin").write_bytes(b"ab")
        self.folder, self.bands = folder, (Band("a"), Band("b"), Band("c"))
        self.samples = pd.DataFrame({"id": ["x", "y"], "path": "x.bin"})

    def read(self, index, streams):
        values = np.arange(3, dtype=np.uint16) + index
        return Raw({s.name: values[: len(s.bands)] for s in streams}, None, 1.0)


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (contract.bands_as_asked, r"reader wrong: gives \(3,\); expected 3 bands first, in 3 axes \(image\)"),
        (contract.full_scale, r"reader wrong: full_scale is 1, and a value is 2"),
        (contract.other_kinds, "reader wrong: gives every kind alike; call need_kind"),
        (contract.damaged, r"reader wrong: a damaged x\.bin is read without an error"),
    ],
)
def test_a_contract_that_is_broken_says_what_is_owed(check, said, tmp_path):
    with pytest.raises(AssertionError, match=said):
        check(contract.Made("wrong", Wrong, tmp_path))
