"""COCO captions in the layout of its download: folders, annotation files, the official and the Karpathy split, what is wrong."""

import json

import numpy as np
import pytest
from PIL import Image

from multimodal_lab.data.dataset import Data
from multimodal_lab.data.readers.coco import Coco
from multimodal_lab.data.readers.pairs import Pairs
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import DtypeMax
from multimodal_lab.types import Stream

MODALITY = {"image": {"kind": "image", "bands": "all"}, "text": {"kind": "text", "length": 8, "vocab": 60}}
TRAIN, VAL = range(12), range(12, 18)


def picture(path, i):
    x = np.random.default_rng(i).integers(0, 255, (6 + i % 3, 8, 3), dtype=np.uint8)
    Image.fromarray(x).save(path, quality=95)


def numbered(i, year=2017, split="train"):
    return f"{i:012d}.jpg" if year == 2017 else f"COCO_{split}2014_{i:012d}.jpg"


def said(i, k):
    return f"caption {k} of picture {i} ."


@pytest.fixture
def coco(tmp_path):
    """A function of the year to the folder of a download, with five captions an image, as they stand in the files."""

    def make(year=2017):
        (tmp_path / "annotations").mkdir(exist_ok=True)
        for split, rows in (("train", TRAIN), ("val", VAL)):
            (tmp_path / f"{split}{year}").mkdir(exist_ok=True)
            names = {i: numbered(i, year, split) for i in rows}
            for i, name in names.items():
                picture(tmp_path / f"{split}{year}" / name, i)
            images = [
                {"license": 3, "file_name": name, "coco_url": "http://x", "height": 8, "width": 8, "id": i}
                for i, name in names.items()
            ]
            annotations = [{"image_id": i, "id": 1000 * k + i, "caption": said(i, k)} for k in range(5) for i in rows]
            write(tmp_path, split, {"info": {}, "licenses": [], "images": images, "annotations": annotations}, year)
        return tmp_path

    return make


def write(root, split, found, year=2017):
    (root / f"annotations/captions_{split}{year}.json").write_text(json.dumps(found))


def changed(root, change, split="train"):
    """Rewrite an annotation file after `change` has been at its content."""
    path = root / f"annotations/captions_{split}2017.json"
    found = json.loads(path.read_bytes())
    change(found)
    path.write_text(json.dumps(found))


def prepared(source, **split):
    made = Data(source, scaling=DtypeMax(), split=Split(column="split", **split), labels=[], size=8, batch_size=4)
    return made.prepare(MODALITY, 0)


@pytest.mark.parametrize("year", [2017, 2014])
def test_the_official_split_tests_on_val_with_five_captions_an_image(coco, year):
    source = Coco(str(coco(year)), year=year)
    assert len(source.samples) == 18
    assert source.samples.split.tolist() == ["train"] * 12 + ["test"] * 6
    assert source.samples.image.iloc[-1] == f"val{year}/{numbered(17, year, 'val')}"
    words = source.read(3, [Stream("text", "text")]).inputs["text"]
    assert words == [said(3, k) for k in range(5)]
    assert source.together is None
    assert any("18 images with 5 to 5 captions, 90 in all: a row an image" in note for note in source.notes)


def test_val_is_carved_out_of_train_and_an_epoch_draws_among_captions(coco):
    found = prepared(Coco(str(coco())))
    assert {name: len(rows) for name, rows in found.splits.items()} == {"train": 11, "val": 1, "test": 6}
    batch = found.batch(found.splits["test"])
    assert batch.others["text"].shape == (6, 4, 8)
    drawn = {tuple(found.batch(np.array([0]), epoch=e).inputs["text"][0].tolist()) for e in range(30)}
    assert len(drawn) == 5


def test_a_row_a_caption_keeps_the_images_whole(coco):
    source = Coco(str(coco()), rows="caption")
    assert len(source.samples) == 90
    assert source.together == "image"
    assert source.samples.id.is_unique
    found = prepared(source, by="image")
    homes = [set(found.samples.image.iloc[rows]) for rows in found.splits.values()]
    assert sum(map(len, homes)) == len(set.union(*homes)) == 18


def karpathy(root, folder, name):
    """The file of the Karpathy split of all images; `folder`, `name`: what it says of each, functions of (i, split)."""
    splits = {**dict.fromkeys(range(9), "train"), 9: "restval", 10: "restval", 11: "val", 12: "val"}
    images = []
    for i in range(18):
        sentences = [
            {"tokens": said(i, k).split(), "raw": said(i, k), "imgid": i, "sentid": 5 * i + k} for k in range(5)
        ]
        own = {"filepath": folder(i), "filename": name(i), "split": splits.get(i, "test"), "cocoid": i}
        images.append({"sentids": [], "imgid": i, "sentences": sentences, **own})
    (root / "dataset_coco.json").write_text(json.dumps({"images": images, "dataset": "coco"}))


def home(i):
    return "train" if i in TRAIN else "val"


@pytest.mark.parametrize("year", [2017, 2014])
def test_the_karpathy_split_finds_images_in_the_folders_of_either_year(coco, year):
    root = coco(year)
    karpathy(root, lambda i: f"{home(i)}2014", lambda i: numbered(i, 2014, home(i)))
    source = Coco(str(root), karpathy="dataset_coco.json", year=year)
    assert source.samples.split.value_counts().to_dict() == {"train": 11, "test": 5, "val": 2}
    assert source.samples.image.tolist() == [f"{home(i)}{year}/{numbered(i, year, home(i))}" for i in range(18)]
    assert any("2 images of restval are trained on" in note for note in source.notes)
    assert len(prepared(source).splits["val"]) == 2


def boxes(found):
    found["annotations"] = [
        {"segmentation": [], "area": 1.0, "iscrowd": 0, "image_id": 0, "bbox": [0, 0, 1, 1], "category_id": 1, "id": 1}
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (boxes, r"instances_train2017\.json: its annotations are boxes and masks.*nearest: annotations/captions_train2017\.json"),
        (lambda f: f.pop("annotations"), r"expected `images` and `annotations`.*as image_info_test"),
        (lambda f: f["images"].append(dict(f["images"][0])), r"image id 0 stands twice: 000000000000\.jpg"),
        (lambda f: f["annotations"].append(dict(f["annotations"][7])), "annotation id 7 stands twice"),
        (lambda f: f["images"].pop(0), r"5 of 60 captions \(8\.33%\) are of images that its `images` does not list: image_id 0"),
        (lambda f: f["annotations"][3].update(caption=None), "annotation 3: its caption is None, expected a text"),
        (lambda f: f["annotations"][3].pop("caption"), "not a whole, readable file of COCO captions: KeyError"),
    ],
)  # fmt: skip
def test_an_annotation_file_that_is_not_of_captions_or_contradicts_itself(coco, change, said):
    root = coco()
    changed(root, change)
    (root / "annotations/captions_train2017.json").rename(root / "annotations/instances_train2017.json")
    files = {"train": "annotations/instances_train2017.json", "test": "annotations/captions_val2017.json"}
    with pytest.raises(DataError, match=said):
        Coco(str(root), captions=files)


def test_an_image_in_two_splits_or_a_split_that_is_none(coco):
    root = coco()
    files = {"train": "annotations/captions_val2017.json", "test": "annotations/captions_val2017.json"}
    (root / "annotations/copy.json").write_bytes((root / files["train"]).read_bytes())
    with pytest.raises(DataError, match=r"copy\.json: image 12 stands in annotations/captions_val2017\.json too"):
        Coco(str(root), captions={**files, "test": "annotations/copy.json"})
    with pytest.raises(DataError, match=r"captions: 'dev', expected train, val or test"):
        Coco(str(root), captions={"dev": files["train"]})
    with pytest.raises(DataError, match=r"data\.source\.captions\.train: no file .*captions_train2014\.json"):
        Coco(str(root), year=2014)


def test_images_that_are_not_there_are_told_with_their_share_or_left_out(coco):
    root = coco()
    for i in (2, 5):
        (root / "train2017" / numbered(i)).unlink()
    told = (
        r"row 3: no file 'train2017/000000000002\.jpg' in .* \(2 of 18 rows lack something \(11\.11%\); .*missing=drop"
    )
    with pytest.raises(DataError, match=told):
        Coco(str(root))
    with pytest.raises(DataError, match=told):
        Coco(str(root), missing="keep")
    source = Coco(str(root), missing="drop")
    assert len(source.samples) == 16
    assert any("2 of 18 rows (11.11%) are left out (data.source.missing=drop): 2 x no file" in n for n in source.notes)
    (root / "val2017").rename(root / "elsewhere")
    (root / "train2017").rename(root / "other")
    with pytest.raises(DataError, match=r"18 of 18 rows \(100\.00%\) are left out.*no file of 'image'"):
        Coco(str(root), missing="drop")


def test_an_image_without_captions_and_blank_captions(coco):
    root = coco()
    changed(root, lambda f: f.update(annotations=[a for a in f["annotations"] if a["image_id"] != 4]))
    changed(root, lambda f: f["annotations"][0].update(caption=" \n"))
    with pytest.raises(DataError, match=r"row 5 has no 'caption'.*2 of 18 rows lack something.*keep allows gaps, drop"):
        Coco(str(root))
    source = Coco(str(root), missing="drop")
    assert len(source.samples) == 17
    assert source.samples.caption.iloc[0] == [said(0, k) for k in range(1, 5)]
    assert any(
        "1 rows have blank ones among several texts, which are left out: row 1: text 1 of 5" in n for n in source.notes
    )
    kept = Coco(str(root), missing="keep")
    assert kept.read(4, [Stream("text", "text")]).inputs["text"] in (None, [])


def test_pairs_reads_the_same_file_a_row_a_caption(coco):
    root = coco()
    karpathy(root, lambda i: f"{home(i)}2017", lambda i: numbered(i))
    source = Pairs(str(root / "train2017"), file=str(root / "annotations/captions_train2017.json"))
    assert (len(source.samples), source.together) == (60, "image")
    assert len(Pairs(str(root), file="dataset_coco.json").samples) == 90
    with pytest.raises(DataError, match="captions of COCO itself, expected the Karpathy split"):
        Coco(str(root), karpathy="annotations/captions_train2017.json")
