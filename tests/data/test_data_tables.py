"""The one reader of tables: what is missing, what is a code, how a file is written, and which file a name means."""

import json
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from multimodal_lab.data.dataset import Data
from multimodal_lab.data.readers.folder import table
from multimodal_lab.data.readers.images import Images
from multimodal_lab.data.readers.labels import Labels
from multimodal_lab.data.readers.name_match import look_up
from multimodal_lab.data.readers.tables import read_table
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import DtypeMax

HEAD = ("filename", "country", "sex", "site", "stage")
COUNTRIES = ("NA", "ZA", "BW", "Côte")  # Namibia is NA
ROWS = [(f"{i:03d}.png", COUNTRIES[i % 4], "MF"[i // 4 % 2], f"{1 + i % 3:02d}", 1 + i % 2 / 2) for i in range(48)]


def files(*paths: str) -> pd.DataFrame:
    return table(paths or [f"img/{r[0]}" for r in ROWS], [".png"])


def write(folder: Path, rows=ROWS, sep=",", encoding="utf-8", name="t.csv", comma=False, head=HEAD) -> str:
    def shown(v):
        return str(v).replace(".", ",") if comma and isinstance(v, float) else str(v)

    text = "\n".join(sep.join(map(shown, r)) for r in [head, *rows]) + "\n"
    (folder / name).write_bytes(text.encode(encoding))
    return name


def joined(folder: Path, name: str, paths=(), **changes):
    labels = Labels(table=name, **changes)
    return labels(folder, files(*paths)), labels.notes


def right(found: pd.DataFrame) -> None:
    assert found.country.value_counts().to_dict() == dict.fromkeys(COUNTRIES, 12)
    assert sorted(found.site.unique()) == ["01", "02", "03"]
    assert found.stage.to_numpy(dtype=float).tolist() == [r[4] for r in ROWS]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({}, ""),
        ({"encoding": "utf-8-sig"}, ""),
        ({"encoding": "utf-16"}, ""),
        ({"encoding": "utf-16-le"}, ""),
        ({"encoding": "cp1252"}, "t.csv: read as cp1252"),
        ({"sep": ";", "comma": True}, "a comma is the decimal sign of stage"),
        ({"sep": ";", "encoding": "cp1252", "comma": True}, "values are separated by semicolons"),
        ({"sep": "\t", "name": "t.tsv", "comma": True}, "a comma is the decimal sign of stage"),
        ({"sep": "|", "name": "t.txt"}, "values are separated by vertical bars"),
        ({"sep": "\t", "name": "t.txt"}, ""),
    ],
)
def test_a_table_is_read_however_it_is_written(tmp_path, written, told):
    found, notes = joined(tmp_path, write(tmp_path, **written))
    right(found)
    assert told in "\n".join(notes)
    assert len(notes) == 1 + sum(k in written for k in ("comma",)) + (written.get("sep") in (";", "|")) + (
        written.get("encoding") == "cp1252"
    )
    assert "country 'NA' (12)" in notes[-1]


def test_excels_own_first_line_and_empty_rows_and_columns(tmp_path):
    text = "sep=;\r\nfilename;sex;\r\na.png;M;\r\n;;\r\nb.png;F;\r\n"
    (tmp_path / "t.csv").write_text(text)
    found, notes = joined(tmp_path, "t.csv", ["a.png", "b.png"])
    assert list(found) == ["id", "path", "sex"]
    assert found.sex.tolist() == ["M", "F"]
    assert any("1 empty rows are left out" in n for n in notes)


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_other_formats_give_what_csv_gives(tmp_path, suffix):
    rows = [(*r[:2], [" F", "", "None", "M"][i % 4], *r[3:]) for i, r in enumerate(ROWS)]
    plain = pd.DataFrame(rows, columns=HEAD)
    if suffix == ".parquet":
        plain.assign(stage=plain.stage.mask(plain.index == 5)).to_parquet(tmp_path / "t.parquet")
    else:
        lines = [{**row, "stage": None if i == 5 else row["stage"]} for i, row in enumerate(plain.to_dict("records"))]
        (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found, notes = joined(tmp_path, f"t{suffix}", missing_labels="keep")
    other, _ = joined(tmp_path, write(tmp_path, rows), missing_labels="keep")
    assert found.sex.isna().sum() == other.sex.isna().sum() == 12
    assert found.site.dropna().tolist() == other.site[found.site.notna()].tolist()
    assert bool(found.stage.isna()[5])
    assert "spaces around values are left out: sex (12)" in "\n".join(notes)
    assert "sex 'None' (12)" in "\n".join(notes)


def test_words_that_mean_missing_are_named(tmp_path):
    found, notes = joined(tmp_path, write(tmp_path), na_values=["NA"], missing_labels="keep")
    assert found.country.isna().sum() == 12
    assert not any("'NA'" in n for n in notes)


def test_spellings_of_one_class_are_told_not_merged(tmp_path):
    rows = [(*r[:2], r[2].lower() if i % 4 == 2 else r[2], *r[3:]) for i, r in enumerate(ROWS)]
    found, notes = joined(tmp_path, write(tmp_path, rows))
    assert set(found.sex) == {"M", "F", "m", "f"}
    assert any("sex 'M' (18) and 'm' (6); 'F' (18)" in n or "sex 'M' (18) and 'm' (6)" in n for n in notes)


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        (["1", "2", ""], [1, 2, None]),
        (["1.5", "-.5", "2e3"], [1.5, -0.5, 2000.0]),
        (["007", "1", "12"], ["007", "1", "12"]),
        (["0", "0.5", "00"], ["0", "0.5", "00"]),
        (["12345678901234567890", "1", "2"], ["12345678901234567890", "1", "2"]),
        (["1.234,5", "2,0", "3"], ["1.234,5", "2,0", "3"]),
        (["true", "nan", "inf"], ["true", "nan", "inf"]),
    ],
)
def test_numbers_are_numbers_and_codes_are_text(tmp_path, values, kept):
    (tmp_path / "t.csv").write_text("f;x\n" + "".join(f"a{i};{v}\n" for i, v in enumerate(values)))
    rows, _ = read_table(tmp_path / "t.csv", "f")
    assert [None if pd.isna(v) else v for v in rows.x] == kept
    assert [isinstance(v, str) for v in rows.x.dropna()] == [isinstance(v, str) for v in kept if v is not None]


def test_two_columns_of_one_name_are_refused_where_one_is_taken(tmp_path):
    (tmp_path / "t.csv").write_text("filename,sex,sex\na.png,M,F\n")
    with pytest.raises(DataError, match=r"t\.csv: 2 columns are called 'sex'; rename all but one"):
        joined(tmp_path, "t.csv", ["a.png"])


@pytest.mark.parametrize(
    ("spelt", "root"),
    [
        (lambda n: n.replace(".png", ".PNG"), "img/"),
        (lambda n: str(int(n[:3])), "img/"),
        (lambda n: f"img\\{n}", "img/"),
        (lambda n: f"./img/{n}", "img/"),
        (lambda n: f"/home/me/data/img/{n}", "img/"),
        (lambda n: f"/home/me/photos/{n}", "img/"),
        (lambda n: f"C:\\Users\\me\\photos\\{n}", "img/"),
        (lambda n: f"img/{n}", ""),
        (lambda n: n.replace(".png", ".tif"), ""),
    ],
)
def test_names_written_on_another_system_are_matched_and_told(tmp_path, spelt, root):
    rows = [(spelt(r[0]), *r[1:]) for r in ROWS]
    found, notes = joined(tmp_path, write(tmp_path, rows), [root + r[0] for r in ROWS])
    right(found)
    assert any(
        f"48 of 48 files are matched to names written in another way, such as {rows[0][0]!r}" in n for n in notes
    )


@pytest.mark.parametrize(
    ("key", "paths"),
    [
        ("7.png", ["a/07.png", "b/007.png"]),  # two files
        ("val/1.png", ["train/1.png"]),  # another folder
        ("/x/c/1.png", ["a/1.png", "b/1.png"]),
        ("site.2", ["site.1.png"]),  # no suffix, but a part of the name
    ],
)
def test_a_name_that_is_not_unique_or_stands_elsewhere_is_not_matched(tmp_path, key, paths):
    with pytest.raises(DataError, match=rf"no labels for {len(paths)} of {len(paths)} files.*1 rows .* match no file"):
        joined(tmp_path, write(tmp_path, [(key, *ROWS[0][1:])]), paths)


def test_the_column_that_names_files_is_found(tmp_path):
    name = write(tmp_path, head=("picture", *HEAD[1:]))
    with pytest.raises(DataError, match=r"no column 'filename' .*; 48 of 48 files are named in picture: .*key=picture"):
        joined(tmp_path, name)
    right(joined(tmp_path, name, key="picture")[0])


def test_unicode_forms_of_a_name_are_one(tmp_path):
    composed, split = (unicodedata.normalize(form, "Ñandú_1") for form in ("NFC", "NFD"))
    assert composed != split
    found, _ = joined(tmp_path, write(tmp_path, [(f"{composed}.png", *ROWS[0][1:])]), [f"{split}.png"])
    assert found.sex.tolist() == ["M"]
    assert found.id.tolist() == [composed]
    assert found.path.tolist() == [f"{split}.png"]
    (tmp_path / split).mkdir()
    (tmp_path / split / "x.png").write_text("")
    assert look_up(tmp_path, f"{composed}\\X.png") == f"{split}/x.png"
    assert look_up(tmp_path, f"/home/me/{composed}/x.png") == f"{split}/x.png"
    assert look_up(tmp_path, str(tmp_path.parent / "elsewhere.png")) is None


def learnt(folder: Path, name: str, labels):
    source = Images(str(folder), labels=Labels(table=name))
    data = Data(source, scaling=DtypeMax(), split=Split(by="auto", stratify="auto"), labels=labels)
    return data.prepare({"rgb": {"kind": "image", "bands": "all"}}, 0)


@pytest.fixture
def pictures(tmp_path):
    (tmp_path / "img").mkdir()
    for i, row in enumerate(ROWS):
        x = np.random.default_rng(i).integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(x).save(tmp_path / "img" / row[0])
    return tmp_path


def test_a_gap_in_a_label_that_is_learnt_is_refused_kept_or_not_learnt(pictures):
    name = write(pictures, [(*r[:2], "" if i % 6 == 0 else r[2], *r[3:]) for i, r in enumerate(ROWS)])
    for wanted in ("auto", ["sex", "country"]):
        with pytest.raises(DataError, match=r"8 of 48 samples have no sex \(img/000, .*labels\.missing_labels=keep"):
            learnt(pictures, name, labels=wanted)
    assert set(learnt(pictures, name, labels=["country"]).classes) == {"country"}
    labels = Labels(table=name, missing_labels="keep")
    data = Data(
        Images(str(pictures), labels=labels), scaling=DtypeMax(), split=Split(stratify="country"), labels="auto"
    )
    counts = data.prepare({"rgb": {"kind": "image", "bands": "all"}}, 0).counts
    assert sum(split["sex"].get("missing", 0) for split in counts.values()) == 8
    assert sum(split["country"]["NA"] for split in counts.values()) == 12


def test_excel_files_need_a_library_that_is_named(tmp_path, monkeypatch):
    sheet = pd.DataFrame([["filename", "n", "site"], ["a.png", 3, "01"], ["b.png", None, "02"]], dtype=object)
    monkeypatch.setattr(pd, "read_excel", lambda *_, **__: {"Sheet1": sheet, "more": sheet})
    (tmp_path / "t.xlsx").write_text("")
    rows, notes = read_table(tmp_path / "t.xlsx", "filename")
    assert rows.n.tolist()[0] == 3
    assert rows.site.tolist() == ["01", "02"]
    assert "of 2 sheets the first, 'Sheet1', is read" in notes[0]

    def absent(*_, **__):
        raise ImportError("no openpyxl")

    monkeypatch.setattr(pd, "read_excel", absent)
    (tmp_path / "u.xlsx").write_text("")  # a table that was read is remembered
    with pytest.raises(DataError, match=r"u\.xlsx: Excel files need `pip install openpyxl`; or save it as CSV"):
        read_table(tmp_path / "u.xlsx", "filename")


def test_lists_of_parquet_that_are_few_are_the_same_lists_shared(tmp_path):
    rows = {
        "id": ["a", "b", "c", "d"],
        "labels": [["x", "y"], None, [], ["x", "y"]],
        "more": [[1], [2], [3], [4]],
        "n": [1, 2, 3, 4],
    }
    pd.DataFrame(rows).to_parquet(tmp_path / "t.parquet")
    plain, _ = read_table(tmp_path / "t.parquet", "id")
    shared, _ = read_table(tmp_path / "t.parquet", "id", lists=["labels", "more", "absent"])
    assert shared.labels.tolist() == rows["labels"]
    assert shared.labels[0] is shared.labels[3]
    pd.testing.assert_frame_equal(shared[["id", "more", "n"]], plain[["id", "more", "n"]])
    assert list(shared) == list(plain)
