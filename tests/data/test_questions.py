"""Questions about images: answers as labels, of each type too; descriptions of easy-VQA from its true answers."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from multimodal_lab.data.dataset import Data
from multimodal_lab.data.kinds.image import Image as Image_
from multimodal_lab.data.loading.collate import Collator
from multimodal_lab.data.readers import images
from multimodal_lab.data.readers.easy_vqa import EasyVqa, described
from multimodal_lab.data.readers.questions import Questions, counted
from multimodal_lab.data.recent import Recent
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import DtypeMax
from multimodal_lab.types import Stream

REAL = Path(__file__).parents[3] / "shared/data/open"
N = 9


def write(root, asked, images=N):
    for i in range(images):
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (4, 4, 3), dtype=np.uint8)).save(root / f"{i}.png")
    (root / "qa.jsonl").write_text("\n".join(map(json.dumps, asked)))
    return str(root)


def split(i):
    return ["train", "train", "val", "test"][i % 4]


def asked(i):
    own = {"image": f"{i}.png", "split": split(i)}
    return [
        {**own, "question": "Is there a road?", "answer": ["yes", "no"][i // 4 % 2], "type": "presence"},
        {**own, "question": "How many?", "answer": str(11 * i), "type": "count"},
        {**own, "question": "How many?", "answer": str(11 * i), "type": "count"},
    ]


def test_each_type_is_a_label_and_counts_are_classes(tmp_path):
    source = Questions(write(tmp_path, [row for i in range(N) for row in asked(i)]), type="type")
    assert source.together == "image"
    assert source.samples.id.iloc[4] == "1.png#1"
    made = Data(
        source, scaling=DtypeMax(), split=Split(by="image", column="split"), labels=["answer", "presence", "count"]
    )
    found = made.prepare({"question": {"kind": "text", "field": "question"}}, 0)
    assert found.classes["presence"] == ["no", "yes"]
    assert found.classes["count"] == ["0", "11 to 100"]
    assert set(found.classes["answer"]) == {"yes", "no", "0", "11 to 100"}
    assert (found.targets["presence"] >= 0).tolist() == [True, False, False] * N


def test_an_image_of_several_questions_is_decoded_once(tmp_path, monkeypatch):
    source = Questions(write(tmp_path, [row for i in range(N) for row in asked(i)]))
    decoded = []
    real = images.decode
    monkeypatch.setattr(images, "decode", lambda *a: decoded.append(a[1]) or real(*a))
    stream = Stream("image", bands=source.bands)
    found = [source.read(i, [stream]).inputs["image"] for i in range(3 * N)]
    assert decoded == [f"{i}.png" for i in range(N)]
    found[0][:] = 0
    np.testing.assert_array_equal(source.read(1, [stream]).inputs["image"], found[1])
    source._recent = Recent(100)  # bytes: two images
    for i in range(3 * N):
        source.read(i, [stream])
    assert source._recent.held == 96
    assert len(pickle.loads(pickle.dumps(source))._recent.kept) == 0


def test_an_image_of_several_questions_is_finished_once_and_learnt_as_often_as_it_is_asked(tmp_path, monkeypatch):
    rows = [row for i in range(N) for row in asked(i)]
    root = write(tmp_path, [*rows, *rows[::2]])
    made, resized, finish = [], [], Image_.finish
    monkeypatch.setattr(Image_, "finish", lambda *a: resized.append(a[-1]) or finish(*a))
    for shared in (True, False):
        source = Questions(root, type="type")
        if not shared:
            source._recent = None
        factory = Data(source, scaling=DtypeMax(), split=Split(by="image", column="split"), labels=["answer"], size=2)
        image = {"kind": "image", "bands": "all"}
        streams = {"image": image, "again": {**image, "bands": ["B", "R"]}, "question": {"kind": "text"}}
        data = factory.prepare(streams, 0)
        learning = len(resized)
        batches = [data.batch(rows) for rows in np.array_split(np.random.default_rng(0).permutation(len(data.ids)), 4)]
        made.append((data, batches, resized[learning:]))
    (once, batches, few), (each, expected, every) = made
    assert sorted(few) == ["again"] * N + ["image"] * N
    assert len(every) == 2 * len(once.ids)
    assert once.record() == each.record()
    assert {(int(x) > 0) for x in once.reader.content.digests["image"]} == {True}
    np.testing.assert_array_equal(once.reader.content.digests["image"], each.reader.content.digests["image"])
    for own, other in zip(batches, expected, strict=True):
        for name in ("image", "again"):
            np.testing.assert_array_equal(own.inputs[name], other.inputs[name])


def test_memory_holds_no_image_once_for_each_of_its_questions(tmp_path, monkeypatch):
    source = Questions(write(tmp_path, [row for i in range(N) for row in asked(i)]))
    keep, held = Collator.keep, []
    monkeypatch.setattr(Collator, "keep", lambda self: held.append(len(self.reader.kept)) or keep(self))
    split = Split(by="image", column="split")
    factory = Data(source, scaling=DtypeMax(), split=split, labels=["answer"], size=2, cache=True)
    data = factory.prepare({"image": {"kind": "image", "bands": "all"}}, 0)
    assert held == [0]
    assert data.stack.kept.values["image"].shape == (3 * N, 3, 2, 2)


def test_counts_as_they_are_written_and_the_classes(tmp_path):
    source = Questions(write(tmp_path, [row for i in range(N) for row in asked(i)]), type="type", counts="number")
    assert source.samples["count"].dropna().tolist()[:4] == ["0", "0", "11", "11"]
    ends = [0, 1, 10, 11, 100, 101, 1000, 1001]
    told = ["0", "1 to 10", "1 to 10", "11 to 100", "11 to 100", "101 to 1000", "101 to 1000", "more than 1000"]
    assert [counted(n) for n in ends] == told


def test_a_table_of_something_else_is_refused(tmp_path):
    root = write(tmp_path, [{"image": "0.png", "question": "x", "reply": "y", "kind": "image"}])
    with pytest.raises(DataError, match=r"qa\.jsonl: no column 'answer'; expected one of image, question, reply, kind"):
        Questions(root)
    write(tmp_path, [{"image": "0.png", "question": "x", "answer": "y", "kind": "image"}])
    with pytest.raises(DataError, match=r"kind 'image' is called like a column"):
        Questions(root, type="kind")
    with pytest.raises(DataError, match=r"no column 'typ'"):
        Questions(root, type="typ")


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ([("what is the blue shape?", "rectangle")], ("rectangle", "blue")),
        ([("what color is the shape?", "teal")], (None, "teal")),
        ([("what is the color of the circle?", "gray")], ("circle", "gray")),
        ([("is there a red shape?", "no"), ("is there not a red shape?", "yes")], (None, None)),
        ([("is no red shape present?", "no"), ("does the image contain a triangle?", "yes")], ("triangle", "red")),
        ([("does the image not contain a circle?", "no")], ("circle", None)),
    ],
)
def test_a_description_is_what_true_answers_say(said, found):
    assert described(said, "x") == found


def test_answers_that_contradict_each_other_are_named():
    with pytest.raises(DataError, match="x: its answers say blue and red of one shape"):
        described([("what is the blue shape?", "circle"), ("is there a red shape?", "yes")], "x")
    with pytest.raises(DataError, match="answer 'purple' to 'what color is the shape\\?'"):
        described([("what color is the shape?", "purple")], "x")


def drawn(i, **more):
    told = {"question": f"what is the {['red', 'blue'][i % 2]} shape?", "answer": "circle", "split": split(i)}
    return {"image": f"{i}.png", **told, **more}


def test_images_of_one_description_hold_one_text(tmp_path):
    rows = [*(drawn(i) for i in range(8)), drawn(8, question="what color is the shape?", answer="red")]
    source = EasyVqa(write(tmp_path, rows))
    assert source.samples.description.tolist() == ["a red circle", "a blue circle"] * 4 + ["a red shape"]
    assert any(
        "1 of 9 rows (11.11%) lack something (data.source.missing=keep): 1 x no 'shape'" in n for n in source.notes
    )
    assert len(EasyVqa(str(tmp_path), missing="drop").samples) == 8
    made = Data(source, scaling=DtypeMax(), split=Split(column="split"), labels=[])
    found = made.prepare({"image": {"kind": "image", "bands": "all"}, "text": {"kind": "text"}}, 0)
    assert len(found.batch(np.arange(9)).text_ids["text"].unique()) == 3
    assert not found.items
    write(tmp_path, [drawn(0), drawn(0, split="test")])
    with pytest.raises(DataError, match=r"0\.png is in splits test and train"):
        EasyVqa(str(tmp_path))


@pytest.mark.skipif(not REAL.is_dir(), reason="needs easy_vqa and rsvqa_lr in ../shared/data")
def test_the_real_sets():
    drawn = EasyVqa(str(REAL / "easy_vqa"))
    assert drawn.samples.split.value_counts().to_dict() == {"train": 1200, "test": 300}
    assert drawn.samples.description.iloc[0] == "a blue rectangle"
    assert drawn.samples[["shape", "colour"]].notna().all(axis=1).sum() == 1340
    asked = Questions(str(REAL / "rsvqa_lr"), type="type")
    assert asked.samples.split.value_counts().to_dict() == {"train": 6402, "test": 2001, "val": 1601}
    assert asked.samples["count"].nunique() == 5
    assert asked.samples.groupby("split").image.nunique().to_dict() == {"train": 64, "val": 16, "test": 20}
