from pathlib import Path

import pandas as pd
import pytest

from multimodal_lab.data.readers.folder import table
from multimodal_lab.data.readers.labels import Labels
from multimodal_lab.data.source import DataError


def files(*paths: str) -> pd.DataFrame:
    return table(paths, [".png", ".bil", ".tif"])


def test_folders(tmp_path: Path) -> None:
    found = Labels(folders=["species", "sex"])(tmp_path, files("a/M/1.png", "b/F/2.png"))
    assert found[["species", "sex"]].to_numpy().tolist() == [["a", "M"], ["b", "F"]]
    with pytest.raises(
        DataError, match=r"c/3\.png: stands in 1 folders below the root, expected 2 \(species/sex/3\.png\)"
    ):
        Labels(folders=["species", "sex"])(tmp_path, files("a/M/1.png", "c/3.png"))


@pytest.mark.parametrize(
    ("preset", "name", "expected"),
    [
        ("birds", "Acrocephalus_atyphus_1_M_Back.png", ("Acrocephalus_atyphus", "Acrocephalus_atyphus_1", "M", "Back")),
        ("birds", "Genus_species_12b_U_Side_masked.tif", ("Genus_species", "Genus_species_12b", "U", "Side")),
        ("lepidoptera", "Arctia caja_1D_030717.bil", ("Arctia caja", "Arctia caja_1", "D", "030717")),
        (
            "lepidoptera",
            "Abraxas fulvobasalis_10V_040917.bil",
            ("Abraxas fulvobasalis", "Abraxas fulvobasalis_10", "V", "040917"),
        ),
    ],
)
def test_presets(tmp_path: Path, preset: str, name: str, expected: tuple[str, ...]) -> None:
    found = Labels(pattern=preset)(tmp_path, files(f"any folder/{name}")).iloc[0]
    named = ("species", "individual", "sex", "view") if preset == "birds" else ("species", "individual", "view", "date")
    assert tuple(found[n] for n in named) == expected


def test_a_name_that_does_not_match_is_named_with_the_pattern(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x/IMG_001\.png: .*pattern=birds \(.*\[MFU\]"):
        Labels(pattern="birds")(tmp_path, files("x/IMG_001.png"))
    with pytest.raises(DataError, match=r"'a\.b' names no label; presets: birds, lepidoptera"):
        Labels(pattern="a.b")(tmp_path, files("a.png"))
    with pytest.raises(DataError, match="not a regular expression"):
        Labels(pattern="(?P<x>")(tmp_path, files("a.png"))


def test_a_pattern_of_ones_own(tmp_path: Path) -> None:
    found = Labels(pattern=r"(?P<site>\w)-(?P<year>\d+)")(tmp_path, files("q-1999.png"))
    assert found[["site", "year"]].iloc[0].tolist() == ["q", "1999"]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".jsonl"])
@pytest.mark.parametrize("keys", [("1", "01"), ("1.png", "01.png"), ("x/1.png", "y/01.png"), ("x/1", "y/01")])
def test_tables_join_by_id_path_name_or_stem(tmp_path: Path, suffix: str, keys: tuple[str, str]) -> None:
    rows = pd.DataFrame({"filename": [keys[1], keys[0]], "species": ["b", "a"], "weight": [2.5, 1.0], "age": [7, 8]})
    path = tmp_path / f"metadata{suffix}"
    if suffix == ".parquet":
        rows.to_parquet(path)
    elif suffix == ".jsonl":
        rows.to_json(path, orient="records", lines=True)
    else:
        rows.to_csv(path, index=False, sep="," if suffix == ".csv" else "\t")
    found = Labels(table=path.name)(tmp_path, files("x/1.png", "y/01.png"))
    assert found.species.tolist() == ["a", "b"]
    assert found.weight.tolist() == [1.0, 2.5]
    assert found.age.tolist() == [8, 7]
    assert found.id.tolist() == ["x/1", "y/01"]


def write(tmp_path: Path, text: str) -> str:
    (tmp_path / "t.csv").write_text(text)
    return "t.csv"


def test_missing_labels_are_counted_and_named(tmp_path: Path) -> None:
    name = write(tmp_path, "filename,species,age\na.png,x,1\nz.png,y,2\nc.png,,3\n")
    three = files("a.png", "b.png", "c.png")
    with pytest.raises(
        DataError, match=r"t\.csv: no labels for 1 of 3 files: b\.png; 1 rows of the table match no file: z\.png"
    ):
        Labels(table=name)(tmp_path, three)
    with pytest.raises(DataError, match=r"no labels for 2 of 3 files: b\.png, c\.png"):
        Labels(table=name, columns=["species"])(tmp_path, three)
    with pytest.warns(UserWarning, match=r"t\.csv: 1 rows of the table match no file: z\.png"):
        found = Labels(table=name, columns=["species", "age"], missing_labels="keep")(tmp_path, three)
    assert found.species.isna().tolist() == [False, True, True]
    assert str(found.age.dtype) == "Int64"  # a whole number stays one where some are missing
    assert found.age.tolist()[0] == 1


def test_duplicates_and_clashes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"filename a\.png stands in more than one row"):
        Labels(table=write(tmp_path, "filename,s\na.png,x\na.png,y\n"))(tmp_path, files("a.png"))
    with pytest.raises(DataError, match=r"rows a\.png, a all mean a\.png"):
        Labels(table=write(tmp_path, "filename,s\na.png,x\na,y\n"))(tmp_path, files("a.png"))
    with pytest.raises(DataError, match=r"'a' means both x/a\.png and y/a\.png"):
        Labels(table=write(tmp_path, "filename,s\na,x\n"))(tmp_path, files("x/a.png", "y/a.png"))
    with pytest.raises(DataError, match="column 's' comes from two places"):
        Labels(table=write(tmp_path, "filename,s\na,x\n"), pattern="(?P<s>.)")(tmp_path, files("a.png"))
    with pytest.raises(DataError, match="column 'path' comes from two places"):
        Labels(table=write(tmp_path, "filename,path\na,x\n"))(tmp_path, files("a.png"))


def test_bad_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'filename' .*; there are name, s; nearest: name"):
        Labels(table=write(tmp_path, "name,s\nb,x\n"))(tmp_path, files("a.png"))
    with pytest.raises(DataError, match=r"labels\.table: no file .*none\.csv"):
        Labels(table="none.csv")(tmp_path, files("a.png"))
    (tmp_path / "t.jsonl").write_text('{"a": 1}\n{"a": \n')
    with pytest.raises(DataError, match=r"t\.jsonl: line 2 is not JSON"):
        Labels(table="t.jsonl")(tmp_path, files("a.png"))
    (tmp_path / "t.parquet").write_text("no parquet")
    with pytest.raises(DataError, match=r"t\.parquet: not a whole, readable parquet table"):
        Labels(table="t.parquet")(tmp_path, files("a.png"))
    (tmp_path / "t.odt").write_text("")
    with pytest.raises(DataError, match=r"expected \.csv, \.tsv, \.txt, \.xlsx, \.parquet or \.jsonl, found \.odt"):
        Labels(table="t.odt")(tmp_path, files("a.png"))


def test_published_lists_are_a_column_of_splits(tmp_path: Path) -> None:
    """As EuroSAT's are: names of JPEGs, where the files are TIFFs in folders of classes."""
    samples = files("Crop/Crop_1.tif", "Crop/Crop_2.tif", "Sea/Sea_1.tif", "Sea/Sea_2.tif")
    (tmp_path / "train.txt").write_text("Crop_1.jpg\nSea_2.jpg\n\n")
    (tmp_path / "test.txt").write_text("Crop_2.jpg\nSea_1.jpg\n")
    lists = {"train": "train.txt", "test": "test.txt"}
    found = Labels(folders=["cover"], lists=lists)(tmp_path, samples)
    assert found[["cover", "split"]].to_numpy().tolist() == [
        ["Crop", "train"], ["Crop", "test"], ["Sea", "test"], ["Sea", "train"]
    ]  # fmt: skip
    for text, said in [
        ("Crop_2.jpg\n", r"1 of 4 files are in none: Sea/Sea_1.tif"),
        ("Crop_2.jpg\nSea_1.jpg\nSea_9.jpg\n", r"1 of 5 names are no file: Sea_9.jpg; expected each file in one list"),
        ("Crop_1.jpg\n", r"test.txt: Crop_1.jpg stands in the list of train, too"),
        ("\n", r"test.txt: no file name in it, expected one a line"),
    ]:
        (tmp_path / "test.txt").write_text(text)
        with pytest.raises(DataError, match=said):
            Labels(lists=lists)(tmp_path, samples)
    with pytest.raises(DataError, match="'dev' is no split; expected train, val, test"):
        Labels(lists={"dev": "train.txt"})(tmp_path, samples)
