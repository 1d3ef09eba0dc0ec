"""Every sort of bad folder, as files on disk: one sentence that names the file before anything is trained."""

import numpy as np
import pytest
import tifffile

from multimodal_lab.data.dataset import Data
from multimodal_lab.data.readers.card import card
from multimodal_lab.data.readers.labels import Labels
from multimodal_lab.data.readers.tiff import Tiff
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import DtypeMax

CUBE = {"cube": {"kind": "image", "bands": "all"}}
NAMES = [f"Genus_{s}_{i}_{'MF'[i % 2]}_{v}" for s in ("alba", "nigra") for i in range(4) for v in ("Back", "Side")]
BAD = NAMES[5]


def write(path, value=1000, mask=1, shape=(6, 6), dtype="uint16"):
    ramp = np.arange(np.prod(shape)).reshape(shape)
    cube = np.stack([ramp + value, ramp, np.full(shape, mask)]).astype(dtype)
    tifffile.imwrite(path, cube, photometric="minisblack", planarconfig="separate")


def prepared(folder, labels=None, split=None, wanted="auto"):
    source = Tiff(
        str(folder), card=card(["R", "UV1", "mask"], mask_band="mask"), labels=labels or Labels(pattern="auto")
    )
    split = split or Split(by="auto", stratify="auto")
    return Data(source, scaling=DtypeMax(), split=split, labels=wanted).prepare(CUBE, 0)


@pytest.fixture
def folder(tmp_path):
    for name in NAMES:
        write(tmp_path / f"{name}.tif")
    return tmp_path


def test_the_folder_is_good_before_it_is_spoilt(folder):
    found = prepared(folder)
    assert set(found.classes) == {"species", "sex", "view"}
    assert found.facts["split"]["by"] == "individual"


def _empty(folder):
    for path in folder.glob("*.tif"):
        path.unlink()


def _truncated(folder):
    path = folder / f"{BAD}.tif"
    path.write_bytes(path.read_bytes()[:-40])


def _promising(folder):
    with tifffile.TiffFile(folder / f"{BAD}.tif", mode="r+b") as tif:
        tif.pages[0].tags["ImageLength"].overwrite(600)


def _all_nan(folder):
    for name in NAMES:
        write(folder / f"{name}.tif", np.nan if name == BAD else 0.5, dtype="float32")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_empty, r"no file that ends in \.tif"),
        (_truncated, rf"{BAD}\.tif: truncated"),
        (_promising, rf"{BAD}\.tif: "),
        (lambda f: write(f / f"{BAD}.tif", shape=(5, 5)), rf"{BAD}.*shape \[2, 5, 5\].*set data\.size"),
        (lambda f: write(f / f"{BAD}.tif", 9, dtype="uint8"), rf"{BAD}\.tif: values of type uint8, expected uint16"),
        (lambda f: write(f / f"{BAD}.tif", mask=0), rf"{BAD}.*mask is all zero"),
        (_all_nan, rf"{BAD}.*no pixel inside its mask was measured \(nodata or NaN, as in band R"),
    ],
)
@pytest.mark.parametrize("seed", [0, 1, 2])  # whichever split the file falls in
def test_bad_files_are_named(folder, spoil, words, seed):
    spoil(folder)
    with pytest.raises(DataError, match=words):
        prepared(folder, split=Split(by="auto", stratify="auto", seed=seed))


def table(folder, rows):
    (folder / "t.csv").write_text("filename,species,part\n" + "".join(f"{n},{s},{p}\n" for n, s, p in rows))
    return Labels(table="t.csv", pattern="auto")


def test_missing_labels_are_named_or_kept_when_asked(folder):
    labels = table(folder, [(n, "a", "train") for n in NAMES if n != BAD])
    with pytest.raises(DataError, match=rf"no labels for 1 of 16 files: {BAD}\.tif .*missing_labels=keep"):
        prepared(folder, labels)
    labels = table(folder, [(n, "ab"[i % 2], "train") for i, n in enumerate(NAMES) if n != BAD])
    labels.missing_labels = "keep"
    kept = prepared(folder, labels)
    assert sum(split["species"].get("missing", 0) for split in kept.counts.values()) == 1


def test_a_class_of_one_specimen_is_refused_where_asked_for_and_left_out_and_told_where_not(folder):
    write(folder / "Genus_rara_1_M_Back.tif")
    with pytest.raises(DataError, match=r"species 'Genus_rara' has one sample \('Genus_rara_1_M_Back'\)"):
        prepared(folder, split=Split(by="individual"), wanted=["species"])
    found = prepared(folder)
    assert list(found.classes) == ["sex", "view"]
    assert (
        "species, 'Genus_rara' has one sample; data.split.min_class_policy=train data.labels=[species] takes it"
        in found.notes[1]
    )


def test_a_group_across_an_official_split_is_named(folder):
    rows = [(n, "a", "test" if n.endswith("Side") else "train") for n in NAMES]
    labels = Labels(table="t.csv", pattern="birds", columns=["part"])
    table(folder, rows)
    with pytest.raises(DataError, match="individual 'Genus_alba_0' is in both train and test of column part"):
        prepared(folder, labels, Split(by="auto", stratify="auto", column="part"))
