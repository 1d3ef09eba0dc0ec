"""Pairs as people have them: several captions an image, Hugging Face's and COCO's tables, folders of files of one name."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from multimodal_lab.data.dataset import Data
from multimodal_lab.data.packed import finalize, writer
from multimodal_lab.data.packed.probe import probe
from multimodal_lab.data.packed.reader import Packed
from multimodal_lab.data.readers.pairs import Pairs
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.shuffle import Shuffle
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import DtypeMax
from multimodal_lab.types import Band, Stream

N = 6
IMAGE, TEXT = {"kind": "image", "bands": "all"}, {"kind": "text"}


@pytest.fixture
def pictures(tmp_path):
    (tmp_path / "img").mkdir()
    for i in range(N):
        x = np.random.default_rng(i).integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(x).save(tmp_path / "img" / f"{i}.png")
    return tmp_path


def lines(folder, rows, name="index.jsonl"):
    (folder / name).write_text("\n".join(map(json.dumps, rows)))


def texts(source, i=0):
    return source.read(i, [Stream("text", "text", field="text")]).inputs["text"]


def test_captions_of_one_image_may_have_its_id(pictures):
    lines(pictures, [{"id": i, "image": f"img/{i}.png", "text": f"{i} {k}"} for i in range(N) for k in range(2)])
    source = Pairs(str(pictures))
    assert source.samples.id.tolist()[:3] == ["0_0", "0_1", "1_0"]
    assert source.together == "image"
    assert any("6 images have up to 2 captions, a row each; their rows are named id_0" in n for n in source.notes)
    lines(pictures, [{"id": 1, "image": f"img/{i}.png", "text": "x"} for i in range(2)])
    with pytest.raises(DataError, match="id 1 stands in more than one row"):
        Pairs(str(pictures))


@pytest.mark.parametrize("image", ["image", "file_name"])
@pytest.mark.parametrize("text", ["text", "caption", "captions"])
def test_columns_of_usual_names_are_found_and_told(pictures, image, text):
    lines(pictures, [{image: f"img/{i}.png", text: f"{i}", "kind": "x"} for i in range(N)], "metadata.jsonl")
    source = Pairs(str(pictures))
    assert (source.images, source.text_columns, texts(source, 2)) == ([image], [text], "2")
    assert source.samples.id.tolist()[0] == "img/0.png"
    assert any(f"columns of images: {image}; of texts: {text}" in n for n in source.notes)


def test_tables_of_other_formats(pictures):
    (pictures / "captions.csv").write_text(
        "image;caption\n" + "".join(f".\\img\\{i}.png;é {i}\n" for i in range(N)), "cp1252"
    )
    source = Pairs(str(pictures))
    assert texts(source, 1) == "é 1"
    assert source.samples.path.tolist()[0] == "img/0.png"
    assert any(
        "6 images have a name written in another way, such as '.\\\\img\\\\0.png' for img/0.png" in n
        for n in source.notes
    )
    coco = {
        "images": [{"id": 10 + i, "file_name": f"img/{i}.png"} for i in range(N)],
        "annotations": [{"image_id": 10 + i % N, "id": i, "caption": f"c{i}"} for i in range(2 * N)],
    }
    (pictures / "coco.json").write_text(json.dumps(coco))
    source = Pairs(str(pictures), file="coco.json")
    assert (len(source.samples), texts(source, N), source.samples.image.iloc[N]) == (2 * N, "c3", "img/3.png")
    (pictures / "captions.csv").rename(pictures / "a.csv")
    (pictures / "coco.json").rename(pictures / "b.csv")
    with pytest.raises(
        DataError, match=r"no table of pairs \(data\.source\.file\); there are a\.csv, b\.csv; name one"
    ):
        Pairs(str(pictures))


def test_text_without_a_column_of_texts_is_told(pictures):
    lines(pictures, [{"image": f"img/{i}.png", "beschreibung": "x"} for i in range(N)])
    with pytest.raises(DataError, match=r"there is none; name some of image, beschreibung, .* in data\.source\.texts"):
        texts(Pairs(str(pictures)))


@pytest.fixture
def folders(tmp_path):
    """RGB of 8 bits beside grey of 16 bits, called alike but for case and suffix, and notes of some."""
    for name in ("rgb", "thermal", "notes"):
        (tmp_path / name).mkdir()
    for i in range(12):
        rng = np.random.default_rng(i)
        Image.fromarray(rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)).save(tmp_path / "rgb" / f"A_{i:02d}.JPG")
        Image.fromarray(rng.integers(0, 60000, (4, 4)).astype(np.uint16)).save(tmp_path / "thermal" / f"a_{i:02d}.png")
        if i != 3:
            (tmp_path / "notes" / f"a_{i:02d}.txt").write_text(f"note {i}\n")
    return tmp_path


def test_folders_are_joined_by_name_each_with_its_own_colour_and_depth(folders):
    known = {"folders": {"rgb": "rgb", "thermal": "thermal"}, "colour": {"thermal": "grey"}}
    source = Pairs(str(folders), **known)
    assert source.bands == (Band("R"), Band("G"), Band("B"), Band("grey"))
    streams = [Stream("thermal", bands=(Band("grey"),)), Stream("rgb", bands=(Band("B"), Band("R")))]
    raw = source.read(1, streams)
    assert raw.inputs["thermal"].shape == (1, 4, 4)
    assert raw.inputs["rgb"].shape == (2, 4, 4)
    assert (raw.scale("thermal"), raw.scale("rgb")) == (65535, 255)
    data = Data(source, scaling=DtypeMax(), split=Split(), labels=[])
    found = data.prepare({"rgb": IMAGE, "thermal": IMAGE}, 0)
    assert [s.channels for s in found.streams.values()] == [3, 1]
    assert found.batch(np.array([0])).inputs["thermal"].dtype == torch.float32
    with pytest.raises(DataError, match=r"thermal/a_00\.png: a grey image, expected data\.source\.colour=rgb"):
        Pairs(str(folders), folders=known["folders"])


def test_columns_of_their_own_bands_are_packed(folders, tmp_path_factory):
    source = Pairs(str(folders), folders={"rgb": "rgb", "thermal": "thermal"}, colour={"thermal": "grey"})
    plan = writer.begin(source, probe(source), tmp_path_factory.mktemp("packed") / "store", {})
    writer.write(plan, 1, lambda done, total: None)
    finalize.finish(plan, "", {"labels": None}, finalize.split_of(plan, Split(), None), "report")
    packed = Packed(str(plan.folder))
    one, two = (
        Data(s, scaling=DtypeMax(), split=Split(), labels=[]).prepare({"rgb": IMAGE, "thermal": IMAGE}, 0)
        for s in (source, packed)
    )
    for name, x in one.batch(np.arange(4)).inputs.items():
        assert torch.equal(x, two.batch(np.arange(4)).inputs[name])


def test_a_folder_of_texts_and_a_gap(folders):
    known = {"folders": {"image": "rgb", "caption": "notes"}}
    with pytest.raises(DataError, match=r"row 4 has no 'caption'.*missing=keep"):
        Pairs(str(folders), **known)
    source = Pairs(str(folders), **known, missing="keep")
    assert source.text_columns == ["caption"]
    assert texts(source, 5) == "note 5"
    assert texts(source, 3) is None
    assert any("caption: no file for 1 of 12 names: A_03" in n for n in source.notes)


def test_a_stream_takes_the_column_of_its_name(folders):
    source = Pairs(str(folders), folders={"rgb": "rgb", "second": "rgb"})
    assert source.read(0, [Stream("second", bands=source.bands)]).inputs["second"].shape == (3, 4, 4)
    with pytest.raises(DataError, match=r"field: none, expected one of the image columns of .*: rgb, second"):
        source.read(0, [Stream("third", bands=source.bands)])


@pytest.mark.parametrize(
    ("data", "fields"), [("emoji", ("noto", "text")), ("pairs", (None, None)), ("tuxpaint", ("file", "text_en"))]
)
def test_a_modality_of_images_and_texts_takes_the_first_columns_that_the_data_set_names(composed, data, fields):
    for modality, text in (("image_text", "text"), ("image_caption", "caption")):
        cfg = composed(f"modality={modality}", f"data={data}", "data.root=/x", small=False)
        assert (cfg.modality.image.field, cfg.modality[text].field) == fields


@pytest.mark.parametrize("cache", [False, True])
def test_the_words_of_rows_are_those_that_a_batch_holds(pictures, cache):
    said = [[f"picture {i}", f"again {i}"][: 1 + i % 2] for i in range(N)]
    said[4] = []
    lines(pictures, [{"id": i, "image": f"img/{i}.png", "caption": said[i]} for i in range(N)])
    source = Pairs(str(pictures), missing="keep")
    split = Split(train=0.5, val=0.0, test=0.5)
    found = Data(source, scaling=DtypeMax(), split=split, labels=[], cache=cache).prepare(
        {"rgb": IMAGE, "said": TEXT}, 0
    )
    rows = np.array([5, 4, 0])
    assert found.texts(rows) == {"said": [said[5], [], said[0]]}
    mixed = Data(source, scaling=DtypeMax(), split=split, labels=[], cache=cache, shuffle=Shuffle("said"))
    mixed = mixed.prepare({"rgb": IMAGE, "said": TEXT}, 0)
    other = mixed.stack.sources["said"][rows]
    assert other.tolist() != rows.tolist()
    assert mixed.texts(rows) == {"said": [said[i] for i in other]}
    held = mixed.batch(rows).inputs["said"]
    for words, ids in zip(mixed.texts(rows)["said"], held, strict=True):
        assert ids.tolist() == (mixed.tokens["said"].encode(words[0]).tolist() if words else [0] * len(ids))
