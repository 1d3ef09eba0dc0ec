"""Hugging Face's ImageFolder: metadata in three formats, splits as folders, nested folders, what no row names."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from multimodal_lab.data.dataset import Data
from multimodal_lab.data.readers.imagefolder import ImageFolder
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.auto import AUTO
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import DtypeMax
from multimodal_lab.types import Stream

WORDS = Stream("text", "text", field="text")


def picture(path, i):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(i).integers(0, 255, (4, 5, 3), dtype=np.uint8)).save(path)


def write(folder, form, rows):
    path = folder / f"metadata.{form}"
    if form == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        getattr(pd.DataFrame(rows), {"csv": "to_csv", "parquet": "to_parquet"}[form])(path, index=False)


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_splits_as_folders_each_with_its_metadata(tmp_path, form):
    for split, count in (("train", 6), ("validation", 2), ("test", 3)):
        for i in range(count):
            picture(tmp_path / "data" / split / f"sub{i % 2}" / f"{i}.png", i)
        rows = [
            {"file_name": f"sub{i % 2}/{i}.png", "text": f"{split}, {i}", "kind": "ab"[i % 2]} for i in range(count)
        ]
        write(tmp_path / "data" / split, form, rows)
    source = ImageFolder(str(tmp_path))
    assert source.samples.split.value_counts().to_dict() == {"train": 6, "val": 2, "test": 3}
    assert source.samples.image.iloc[-1] == "data/validation/sub1/1.png"
    assert source.read(len(source.samples) - 1, [WORDS]).inputs["text"] == "validation, 1"
    made = Data(source, scaling=DtypeMax(), split=Split(column=AUTO), labels=None, size=4)
    found = made.prepare({"image": {"kind": "image", "bands": "all"}, "text": {"kind": "text"}}, 0)
    assert {name: len(rows) for name, rows in found.splits.items()} == {"train": 6, "val": 2, "test": 3}
    assert list(found.classes) == ["kind"]
    assert found.record()["split"]["column"] == "split"


def test_one_folder_without_splits_and_images_that_no_row_names(tmp_path):
    for i in range(9):
        picture(tmp_path / f"{i}.png", i)
    write(tmp_path, "jsonl", [{"file_name": f"./{i}.png", "text": [f"{i} one", f"{i} two"]} for i in range(7)])
    source = ImageFolder(str(tmp_path))
    assert "split" not in source.samples
    assert source.samples.image.tolist() == [f"{i}.png" for i in range(7)]
    assert source.read(2, [WORDS]).inputs["text"] == ["2 one", "2 two"]
    assert "warning: left out: 2 images that no row names: 7.png, 8.png" in source.notes
    made = Data(source, scaling=DtypeMax(), split=Split(column=AUTO), labels=[], size=4)
    assert made.prepare({"image": {"kind": "image", "bands": "all"}}, 0).record()["split"]["column"] is None


def test_lists_of_captions_in_parquet_and_a_second_image(tmp_path):
    for i in range(4):
        picture(tmp_path / f"{i}.png", i)
        picture(tmp_path / "depth" / f"{i}.png", 9 + i)
    rows = [{"file_name": f"{i}.png", "depth_file_name": f"depth/{i}.png", "text": [f"{i}", "b"]} for i in range(4)]
    write(tmp_path, "parquet", rows)
    source = ImageFolder(str(tmp_path))
    assert (source.images, source.text_columns) == (["image", "depth"], ["text"])
    assert source.read(3, [WORDS]).inputs["text"] == ["3", "b"]


def test_what_is_wrong_is_named(tmp_path):
    picture(tmp_path / "train" / "0.png", 0)
    with pytest.raises(DataError, match=r"none of metadata\.csv, .*are data=images"):
        ImageFolder(str(tmp_path))
    write(tmp_path / "train", "csv", [{"filename": "0.png", "text": "x"}])
    with pytest.raises(DataError, match=r"train/metadata\.csv: no column 'file_name'.*nearest: filename"):
        ImageFolder(str(tmp_path))
    write(tmp_path / "train", "csv", [{"file_name": "0.png", "image": "x", "text": "x"}])
    with pytest.raises(DataError, match=r"has the columns 'file_name' and 'image'"):
        ImageFolder(str(tmp_path))
    write(tmp_path / "train", "csv", [{"file_name": "../0.png", "text": "x"}])
    with pytest.raises(DataError, match=r"'train/\.\./0\.png' leaves"):
        ImageFolder(str(tmp_path))
    write(tmp_path / "train", "csv", [{"file_name": "0.png", "text": "x"}])
    picture(tmp_path / "extra" / "1.png", 1)
    write(tmp_path / "extra", "csv", [{"file_name": "1.png", "text": "y"}])
    assert any("1 of 2 images are in none called train" in note for note in ImageFolder(str(tmp_path)).notes)


def test_unquoted_commas_of_captions_are_named(tmp_path):
    picture(tmp_path / "0.png", 0)
    (tmp_path / "metadata.csv").write_text("file_name,text\n0.png,a cat, a dog and a bird\n")
    with pytest.raises(DataError, match=r"metadata\.csv: rows with more values than the header names.*in quotes"):
        ImageFolder(str(tmp_path))
