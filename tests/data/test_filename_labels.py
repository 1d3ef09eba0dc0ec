import pytest

from multimodal_lab.data.readers.filename_labels import infer
from multimodal_lab.data.readers.folder import table
from multimodal_lab.data.readers.labels import Labels
from multimodal_lab.data.source import DataError

BIRDS = [f"Genus_{s}_{i}_{'MF'[i % 2]}_{v}.tif" for s in ("alba", "nigra") for i in range(3) for v in ("Back", "Side")]


def files(*paths):
    return table(paths, [".tif"])


def test_a_preset_is_taken_where_every_name_matches():
    found, note = infer(files(*BIRDS))
    assert list(found.columns) == ["individual", "species", "sex", "view"]
    assert found.iloc[1].tolist() == ["Genus_alba_0", "Genus_alba", "M", "Side"]
    assert "all 12 match data.source.labels.pattern=birds (individual, species, sex, view)" in note
    found, note = infer(files("x/Arctia caja_1D_030717.tif", "x/Arctia caja_1V_030717.tif"))
    assert found["species"].tolist() == ["Arctia caja"] * 2
    assert "pattern=lepidoptera" in note


def test_nine_of_ten_names_are_enough_and_the_others_are_unlabelled_and_told():
    birds = [
        f"Genus_{s}_{i}_{'MF'[i % 2]}_{v}.tif" for s in ("alba", "nigra") for i in range(20) for v in ("Back", "Side")
    ]
    found, note = infer(files(*birds, "IMG_1.tif", "x 2.tif"))
    assert found.species.value_counts().to_dict() == {"Genus_alba": 40, "Genus_nigra": 40}
    assert found.iloc[-2:][["species", "sex", "view"]].isna().all().all()
    assert found.individual.tolist()[-2:] == ["IMG_1", "x 2"]  # each by itself, so that a split can group
    assert "80 of 82 match data.source.labels.pattern=birds" in note
    assert "unlabelled, each an individual by itself: IMG_1.tif, x 2.tif" in note
    assert infer(files(*birds[:8], "IMG_1.tif"))[0].shape == (9, 0)  # one of nine is more than a tenth


def test_sex_may_be_written_out():
    found, note = infer(
        files(*(f"Genus_alba_{i}_{s}_Back.tif" for i, s in enumerate(["male", "Female", "unknown", "f", "U"])))
    )
    assert found.sex.tolist() == ["male", "Female", "unknown", "f", "U"]
    assert "all 5 match" in note


def test_a_template_is_a_pattern(tmp_path):
    found = Labels(pattern="{species}_{individual}_{sex}")(tmp_path, files("b/Alba x_12_male.tif", "a/Nigra_7.b_F.tif"))
    assert found[["species", "individual", "sex"]].to_numpy().tolist() == [
        ["Alba x", "12", "male"],
        ["Nigra", "7.b", "F"],
    ]
    found = Labels(pattern="{site}/IMG-{number}")(tmp_path, files("north/IMG-12.tif"))
    assert found[["site", "number"]].iloc[0].tolist() == ["north", "12"]
    with pytest.raises(
        DataError, match=r"a_b_c_d\.tif: its name does not match .*; 1 of 2 files do not match the pattern"
    ):
        Labels(pattern="{a}_{b}_{c}")(tmp_path, files("a_b_c.tif", "a_b_c_d.tif"))
    with pytest.raises(DataError, match="two fields with nothing between them"):
        Labels(pattern="{a}{b}")(tmp_path, files("ab.tif"))


@pytest.mark.parametrize(
    ("given", "named"), [({"pattern": "{individual}_{sex}"}, "individual"), ({"folders": ["site"]}, "site")]
)
def test_files_that_do_not_fit_may_be_kept_without_labels(tmp_path, given, named):
    three = files("north/1_M.tif", "south/2_F.tif", "3.tif")
    with pytest.raises(DataError, match=r"1 of 3 files .*: 3\.tif .*missing_labels=keep"):
        Labels(**given)(tmp_path, three)
    labels = Labels(**given, missing_labels="keep")
    found = labels(tmp_path, three)
    assert found[named].isna().tolist() == [False, False, named != "individual"]
    assert "1 of 3 files" in labels.notes[0]
    assert "they are unlabelled" in labels.notes[0]


def test_one_folder_per_class_is_a_label_called_folder():
    found, note = infer(files("a/1.tif", "b/1.tif", "a/2.tif", "b/2.tif"))
    assert found["folder"].tolist() == ["a", "b", "a", "b"]
    assert "2 folders" in note
    assert "data.source.labels.folders=[individual]" in note


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        (["1.tif", "2.tif"], "none matches a preset (birds, lepidoptera); all lie in one folder"),
        ([*BIRDS[:4], "IMG_1.tif"], "4 of 5 match birds, but not IMG_1"),
        (["a/1.tif", "a/2.tif", "3.tif"], "not every file lies in exactly one folder"),
        (["a/x/1.tif", "a/x/2.tif", "b/x/1.tif", "b/x/2.tif"], "not every file lies in exactly one folder"),
        (["a/1.tif", "a/2.tif", "b/3.tif"], "folder b holds one file"),
        (["a/1.tif", "a/2.tif"], "all lie in one folder"),
        (["train/1.tif", "train/2.tif", "Test/3.tif", "Test/4.tif"], "folder Test, train is called like a split"),
        (["a/A_b_1_M_2D_030717.tif", "a/A_b_1_M_2V_030717.tif"], "every file name matches birds and lepidoptera"),
    ],
)
def test_where_there_is_doubt_there_is_no_label_and_a_note_says_how(paths, reason):
    found, note = infer(files(*paths))
    assert found.shape == (len(paths), 0)
    assert reason in note
    for key in ("data.source.labels.pattern=birds", "data.source.labels.folders=[species]", "labels.table=FILE"):
        assert key in note


def test_auto_gives_way_to_what_is_explicit(tmp_path):
    labels = Labels(pattern="auto", folders=["site"])
    assert list(labels(tmp_path, files(*(f"x/{b}" for b in BIRDS))).columns) == ["id", "path", "site"]
    assert labels.notes == []
    (tmp_path / "t.csv").write_text("filename,species\n" + "".join(f"{b},x\n" for b in BIRDS))
    labels = Labels(pattern="auto", table="t.csv")
    assert list(labels(tmp_path, files(*BIRDS)).columns) == ["id", "path", "species"]
    plain = Labels()
    assert list(plain(tmp_path, files(*BIRDS)).columns) == ["id", "path"]
    assert plain.notes == []
