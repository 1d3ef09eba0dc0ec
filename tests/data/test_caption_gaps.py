"""Captions and images that are not as they should be: each is one sentence, or a policy that counts."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from multimodal_lab.data.dataset import Data
from multimodal_lab.data.readers import header_memory, images
from multimodal_lab.data.readers.pairs import Pairs
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import DtypeMax
from multimodal_lab.types import Stream

N = 12
WORDS = Stream("text", "text", field="text")
MODALITY = {"image": {"kind": "image", "bands": "all"}, "text": {"kind": "text", "length": 6, "vocab": 60}}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "img").mkdir()
    for i in range(N):
        x = np.random.default_rng(i).integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(x).save(tmp_path / "img" / f"{i}.png")
    return tmp_path


def rows(**changed):
    """{row: what is other}."""
    own = {int(k[1:]): v for k, v in changed.items()}
    return [{"image": f"img/{i}.png", "text": f"picture {i}", **own.get(i, {})} for i in range(N)]


def write(folder, found):
    (folder / "index.jsonl").write_text("\n".join(map(json.dumps, found)))
    return str(folder)


def prepared(source, **options):
    made = Data(source, scaling=DtypeMax(), split=Split(by="auto"), labels=[], size=4, **options)
    return made.prepare(MODALITY, 0)


BLANK = [
    ({"text": ""}, "row 4 has no 'text'; it has image"),
    ({"text": "  \n"}, "row 4: 'text' is blank"),
    ({"text": "\u200b \u00ad\ufeff"}, "row 4: 'text' is blank"),  # of signs that nobody sees
    ({"text": None}, "row 4 has no 'text'"),
    ({"text": []}, "row 4 has no 'text'"),
    ({"text": ["", " "]}, "row 4: text 1 of 2 of 'text' is blank"),
    ({"image": None}, "row 4 has no 'image'"),
    ({"image": ""}, "row 4 has no 'image'"),
]


@pytest.mark.parametrize(("change", "told"), BLANK)
def test_a_row_without_an_image_or_a_caption(folder, change, told):
    root = write(folder, rows(r3=change, r7=change))
    with pytest.raises(
        DataError, match=rf"index\.jsonl: {told}.*2 of 12 rows lack something \(16\.67%\).*missing=keep.*drop"
    ):
        Pairs(root)
    dropped = Pairs(root, missing="drop")
    assert dropped.samples.index.tolist() == list(range(N - 2))
    assert any(
        "2 of 12 rows (16.67%) are left out (data.source.missing=drop): 2 x " in n and told in n for n in dropped.notes
    )
    kept = Pairs(root, missing="keep")
    assert len(kept.samples) == N
    assert any("2 of 12 rows (16.67%) lack something (data.source.missing=keep)" in n for n in kept.notes)
    if "text" in change:
        assert prepared(kept).batch(np.array([2, 3])).present["text"].tolist() == [True, False]


def test_blank_ones_among_several_captions(folder):
    root = write(folder, rows(r3={"text": ["a", "\t", "b"]}))
    with pytest.raises(DataError, match=r"row 4: text 2 of 3 of 'text' is blank \(data\.source\.missing=keep"):
        Pairs(root)
    for policy in ("keep", "drop"):
        source = Pairs(root, missing=policy)
        assert source.read(3, [WORDS]).inputs["text"] == ["a", "b"]
        assert any("1 rows have blank ones among several texts" in note for note in source.notes)


def test_what_a_column_lacks_is_told_to_a_run_that_reads_it(folder):
    found = [{**row, "drawing": row["image"], "kind": "ab"[i % 2]} for i, row in enumerate(rows())]
    found[3] |= {"drawing": None, "text": None}
    found[5] |= {"drawing": None, "kind": None}
    found[7] |= {"text": ["a", " "]}
    root = write(folder, found)
    source = Pairs(root, images=["image", "drawing"], texts=["text"], labels=["kind"], missing="keep")
    told = {
        "2 of 12 rows (16.67%) lack something (data.source.missing=keep): 2 x no 'drawing'; the first: row 4",
        "1 of 12 rows (8.33%) lack something (data.source.missing=keep): 1 x no 'text'; the first: row 4",
        "1 of 12 rows (8.33%) lack something (data.source.missing=keep): 1 x no 'kind'; the first: row 6",
        "1 rows have blank ones among several texts, which are left out: row 8",
    }

    def notes(found):
        return {t for t in told if any(t in note for note in found)}

    assert notes(source.notes) == told
    for fields, labels, lacking in (
        (["image"], [], ()),
        (["drawing"], [], ("'drawing'",)),
        (["image", "text"], ["kind"], ("'text'", "blank", "'kind'")),
    ):
        made = Data(source, scaling=DtypeMax(), split=Split(by=None), labels=labels, size=4)
        of = {"text": MODALITY["text"]} | {n: {**MODALITY["image"], "field": n} for n in ("image", "drawing")}
        prepared = made.prepare({name: of[name] for name in fields}, 0)
        assert notes(prepared.notes) == {t for t in told if any(word in t for word in lacking)}


def test_images_that_are_not_there_by_every_policy(folder):
    root = write(folder, rows(r3={"image": "img/none.png"}, r5={"image": "img/gone.png"}))
    told = r"row 4: no file 'img/none\.png' in .*2 of 12 rows lack something \(16\.67%\); data\.source\.missing=drop leaves"
    for policy in ("refuse", "keep"):
        with pytest.raises(DataError, match=told):
            Pairs(root, missing=policy)
    assert len(Pairs(root, missing="drop").samples) == N - 2
    held = prepared(Pairs(root, on_error="skip"), on_error="skip", max_bad=0.2)
    assert sorted(held.bad.why) == [3, 5]
    with pytest.raises(DataError, match=r"2 of 12 samples can't be read \(16\.67%\).*data\.max_bad"):
        prepared(Pairs(root, on_error="skip"), on_error="skip")


def test_images_that_cannot_be_decoded_by_every_policy(folder):
    root = write(folder, rows())
    whole = (folder / "img/3.png").read_bytes()
    for content in (b"no picture", whole[:60]):
        (folder / "img/3.png").write_bytes(content)
        with pytest.raises(DataError, match=r"img/3\.png"):
            prepared(Pairs(root))
        held = prepared(Pairs(root, on_error="skip"), on_error="skip", max_bad=0.1)
        assert list(held.bad.why) == [3]
        assert any("1 of 12 samples can't be read" in note for note in held.notes)


def test_one_image_by_two_spellings_is_one_image(folder):
    two = [{"id": 0, "image": "./img/0.png", "text": "other"}, {"id": 1, "image": "IMG\\1.PNG", "text": "other"}]
    found = [{"id": i, **row} for i, row in enumerate(rows())]
    source = Pairs(write(folder, [*found, *two]))
    assert source.together == "image"
    assert source.samples.image.nunique() == N
    assert source.samples.id.tolist()[:3] == ["0_0", "1_0", "2"]
    assert any(
        "1 images have a name written in another way, such as 'IMG\\\\1.PNG' for img/1.png" in n for n in source.notes
    )
    homes = [set(source.samples.image.iloc[rows]) for rows in prepared(source).splits.values()]
    assert sum(map(len, homes)) == N


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"text": "again"}, "id 3 stands in more than one row, with other images"),
        ({"image": "img/3.png"}, "with the same values"),
    ],
)
def test_an_id_twice_is_named(folder, change, told):
    found = [{"id": i, **row} for i, row in enumerate(rows())]
    with pytest.raises(DataError, match=told):
        Pairs(write(folder, [*found, {**found[3], "image": "img/4.png", **change}]))


def test_captions_beyond_the_context_are_counted(folder):
    long = {"text": "a caption of ten words is cut at six tokens"}
    notes = prepared(Pairs(write(folder, rows(**{f"r{i}": long for i in range(0, N, 2)})))).notes
    assert any(
        n.startswith("warning: text text: ") and "of texts are cut" in n and "length=12 keeps" in n for n in notes
    )


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", "^"])
def test_a_csv_of_any_separator(folder, separator):
    text = "".join(f"img/{i}.png{separator}picture {i}\n" for i in range(N))
    (folder / "captions.csv").write_text(f"image{separator}text\n{text}")
    source = Pairs(str(folder), separator="^" if separator == "^" else None)
    assert source.read(5, [WORDS]).inputs["text"] == "picture 5"
    with pytest.raises(DataError, match=r"data\.source\.separator: '\^\^', expected one character"):
        Pairs(str(folder), separator="^^")


def test_captions_with_commas_out_of_quotes_are_named(folder):
    (folder / "captions.csv").write_text('image,text\nimg/0.png,"a cat, a dog"\nimg/1.png,a cat, a dog\n')
    with pytest.raises(
        DataError, match=r"captions\.csv: rows with more values.*expected 2 \(line 3\).*',' in it must stand in quotes"
    ):
        Pairs(str(folder))


def test_headers_that_an_earlier_start_has_read_are_not_read_again(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(header_memory, "FEWEST", 1)
    root, read = write(folder, rows()), list[str]()
    for i in range(N):  # written long ago, as far as a file's clock tells
        os.utime(folder / f"img/{i}.png", (1, 1))
    monkeypatch.setattr(header_memory, "settled", lambda stamp, now: True)
    real = images.read_header
    monkeypatch.setattr(images, "read_header", lambda *a: read.append(a[1]) or real(*a))
    first = Pairs(root)
    assert len(read) == N
    assert Pairs(root).samples.equals(first.samples)
    assert len(read) == N
    Image.new("L", (4, 4)).save(folder / "img/7.png")
    with pytest.raises(DataError, match=r"img/7\.png: a grey image"):
        Pairs(root)
    assert read[N:] == ["img/7.png"]
    for damage in ("{", '{"headers": {"img/7.png": 3, "img/6.png": "x"}}'):
        for place in (tmp_path / "cache").rglob("headers/*.json"):
            place.write_text(damage)
        assert len(Pairs(root, colour="to_rgb").samples) == N


def test_the_one_row_whose_value_is_of_another_kind_is_named(folder):
    root = write(folder, rows(r3={"text": 5}))
    with pytest.raises(DataError, match=r"index\.jsonl: row 4: 'text' is 5, expected a text or a list of texts"):
        Pairs(root)
    root = write(folder, rows(r3={"image": "img/3.pgn"}))
    with pytest.raises(DataError, match=r"'image' names such files in 11 of 12 rows, but row 4 has 'img/3\.pgn'"):
        Pairs(root)


def test_a_split_of_one_sample_is_not_told_to_take_batches_of_one(folder):
    few = prepared(Pairs(write(folder, rows()[:3])))
    with pytest.raises(
        DataError, match=r"batch_size 2 is more than the 1 sample of train; give that split more \(data\.split\)"
    ):
        few.steps("train", batch_size=2, drop_last=True)
    many = prepared(Pairs(write(folder, rows())))
    count = len(many.rows("train"))
    with pytest.raises(
        DataError, match=rf"more than the {count} samples of train; at most {count}: data\.batch_size={count}"
    ):
        many.steps("train", batch_size=99, drop_last=True)
