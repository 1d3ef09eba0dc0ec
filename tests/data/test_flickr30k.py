"""Flickr30k as people have it: the token file, Kaggle's CSV with its broken line, Karpathy's JSON, the hub's table."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from multimodal_lab.data.readers.flickr30k import Flickr30k
from multimodal_lab.data.source import DataError
from multimodal_lab.types import Stream

NAMES = [f"{1000092795 + i}.jpg" for i in range(6)]
WORDS = Stream("text", "text")


def said(i, k):
    return f'Two young , White males are outside near many bushes {i} {k} , "quoted" .'


@pytest.fixture
def flickr(tmp_path):
    (tmp_path / "flickr30k_images").mkdir()
    for i, name in enumerate(NAMES):
        x = np.random.default_rng(i).integers(0, 255, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(x).save(tmp_path / "flickr30k_images" / name)
    return tmp_path


def token(root):
    lines = [f"{name}#{k}\t{said(i, k)}\n" for i, name in enumerate(NAMES) for k in range(5)]
    (root / "results_20130124.token").write_text("".join(lines))


def kaggle(root, broken=True):
    """With the spaces behind bars, and the line that has no second one."""
    lines = ["image_name| comment_number| comment\n"]
    lines += [f"{name}| {k}| {said(i, k)}\n" for i, name in enumerate(NAMES) for k in range(5)]
    if broken:
        lines[10] = lines[10].replace(" 4| ", " 4   ")
    (root / "results.csv").write_text("".join(lines))


def karpathy(root):
    splits = ["train"] * 3 + ["val", "test", "test"]
    images = [
        {"sentids": [], "imgid": i, "split": splits[i], "filename": name,
         "sentences": [{"tokens": [], "raw": said(i, k), "imgid": i, "sentid": 5 * i + k} for k in range(5)]}
        for i, name in enumerate(NAMES)
    ]  # fmt: skip
    (root / "dataset_flickr30k.json").write_text(json.dumps({"images": images, "dataset": "flickr30k"}))


def hub(root):
    with (root / "flickr_annotations_30k.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["raw", "sentids", "split", "filename", "img_id"])
        for i, name in enumerate(NAMES):
            table.writerow(
                [json.dumps([said(i, k) for k in range(5)]), "[0, 1, 2, 3, 4]", "train" if i < 4 else "test", name, i]
            )


def captions(source):
    return [source.read(i, [WORDS]).inputs["text"] for i in range(len(source.samples))]


@pytest.mark.parametrize(
    ("write", "split"),
    [(token, False), (kaggle, False), (karpathy, True), (hub, True)],
    ids=["token", "kaggle", "karpathy", "hub"],
)
def test_all_forms_give_five_captions_an_image(flickr, write, split):
    write(flickr)
    source = Flickr30k(str(flickr))
    assert captions(source) == [[said(i, k) for k in range(5)] for i in range(6)]
    assert source.samples.image.tolist() == [f"flickr30k_images/{name}" for name in NAMES]
    assert ("split" in source.samples) == split


def test_the_broken_line_of_kaggles_table_is_mended_and_told(flickr):
    kaggle(flickr)
    source = Flickr30k(str(flickr))
    assert any("1 lines lack the bar before the caption, which is taken as meant: line 11: " in n for n in source.notes)
    kaggle(flickr, broken=False)
    assert not any("bar" in note for note in Flickr30k(str(flickr)).notes)


def test_the_file_that_tells_the_split_comes_first(flickr):
    token(flickr)
    karpathy(flickr)
    assert Flickr30k(str(flickr)).samples.split.value_counts().to_dict() == {"train": 3, "test": 2, "val": 1}
    assert "split" not in Flickr30k(str(flickr), captions="results_20130124.token").samples


def test_kaggles_folder_in_a_folder(flickr):
    inner = flickr / "flickr30k_images"
    inner.rename(flickr / "pictures")
    inner.mkdir()
    (flickr / "pictures").rename(inner / "flickr30k_images")
    kaggle(inner)
    for root, below in ((flickr, "flickr30k_images/flickr30k_images"), (inner, "flickr30k_images")):
        assert Flickr30k(str(root)).samples.image.iloc[0] == f"{below}/{NAMES[0]}"


def test_a_row_a_caption(flickr):
    token(flickr)
    source = Flickr30k(str(flickr), rows="caption")
    assert (len(source.samples), source.together) == (30, "image")
    assert source.samples.id.iloc[7] == f"{NAMES[1]}#2"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("1000092795.jpg\tno number\n", r"line 31 is '1000092795\.jpg\\tno number', expected NAME#NUMBER, a tab"),
        (f"{NAMES[0]}#3\tagain\n", rf"line 31: caption 3 of {NAMES[0]} stands twice"),
        ("", ""),
    ],
)
def test_a_line_that_is_no_caption_is_named(flickr, line, told):
    token(flickr)
    with (flickr / "results_20130124.token").open("a") as file:
        file.write(line)
    if not line:
        assert Flickr30k(str(flickr))
        return
    with pytest.raises(DataError, match=told):
        Flickr30k(str(flickr))


def test_what_is_not_there_is_named(flickr):
    with pytest.raises(
        DataError, match=r"none of dataset_flickr30k\.json, .*results\.csv is there.*data\.source\.captions"
    ):
        Flickr30k(str(flickr))
    token(flickr)
    (flickr / "flickr30k_images").rename(flickr / "jpg")
    with pytest.raises(DataError, match=r"none of flickr30k_images, flickr30k-images is there.*data\.source\.folder"):
        Flickr30k(str(flickr))
    assert Flickr30k(str(flickr), folder="jpg").samples.image.iloc[0] == f"jpg/{NAMES[0]}"
