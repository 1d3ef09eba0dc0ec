"""Data sets side by side: rows, streams and labels of each, classes by name, and the shares of an epoch."""

import json

import numpy as np
import pandas as pd
import pytest
from made_source import Made
from PIL import Image

from multimodal_lab.data.dataset import Data
from multimodal_lab.data.readers.fingerprint import fingerprint
from multimodal_lab.data.readers.images import Images
from multimodal_lab.data.readers.mixed import Mixed
from multimodal_lab.data.readers.pairs import Pairs
from multimodal_lab.data.readers.table import Table
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.hashing import permutation
from multimodal_lab.data.split.sampling import Sampling
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import DtypeMax
from multimodal_lab.types import Band, Stream

RGB = (Band("R"), Band("G"), Band("B"))
ALL = {"rgb": {"kind": "image", "bands": ["R", "G", "B"]}, "nir": {"kind": "vector", "bands": ["nm800", "nm900"]}}


def pictures(folder, count, dtype=np.uint8, first=0):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        x = np.random.default_rng(first + i).integers(0, 255, (5, 5, 3), dtype=np.uint8)
        Image.fromarray(x).save(folder / f"p{i}.png")
    return Images(str(folder))


def spectra(folder, count, **columns):
    values = {f"nm{c}": np.random.default_rng(c).random(count) for c in (700, 800, 900)}
    pd.DataFrame({"name": [f"p{i}" for i in range(count)], **values, **columns}).to_csv(folder / "t.csv", index=False)
    return Table(str(folder), file="t.csv", pattern=r"nm(?P<nm>\d+)", id="name")


@pytest.fixture
def mixed(tmp_path):
    """Six images with a number and a class, four spectra with classes, of the same names."""
    one, two = pictures(tmp_path / "one", 6), spectra(tmp_path, 4, species=["b", "c", "b", "c"], site=[1, 2, 1, 2])
    one.samples = one.samples.assign(species=list("ababab"), tail=np.arange(6.0), individual=[1, 1, 2, 2, 3, 3])
    two.samples["individual"] = [1, 1, 2, 2]
    return Mixed({"one": one, "two": two}, root=str(tmp_path), apart=["individual"])


def prepared(source, modality=ALL, labels=("species", "site", "tail"), **more):
    split = Split(stratify="source", train=0.5, val=0.0, test=0.5)
    return Data(source, scaling=DtypeMax(), split=split, labels=list(labels), batch_size=4, **more).prepare(modality, 3)


def test_streams_and_labels_that_a_set_has_not_are_missing(mixed):
    assert mixed.samples.id.tolist() == [f"one/p{i}" for i in range(6)] + [f"two/p{i}" for i in range(4)]
    assert mixed.samples.source.tolist() == ["one"] * 6 + ["two"] * 4
    assert mixed.samples.path.tolist()[5:7] == ["one/p5.png", "t.csv"]
    assert mixed.samples.individual.tolist()[4:8] == ["one/3", "one/3", "two/1", "two/1"]
    made = prepared(mixed)
    batch = made.batch(np.arange(10))
    assert batch.present["rgb"].tolist() == [True] * 6 + [False] * 4
    assert batch.present["nir"].tolist() == [False] * 6 + [True] * 4
    assert batch.inputs["rgb"].shape == (10, 3, 5, 5)
    assert made.classes == {"species": ["a", "b", "c"], "site": ["1", "2"], "tail": []}
    assert batch.targets["species"].tolist() == [0, 1, 0, 1, 0, 1, 1, 2, 1, 2]  # one class of one name
    assert batch.targets["site"].tolist() == [-1] * 6 + [0, 1, 0, 1]
    assert batch.targets["tail"].isnan().tolist() == [False] * 6 + [True] * 4


def test_a_field_takes_a_stream_from_one_set_alone(tmp_path):
    sets = {"a": pictures(tmp_path / "a", 2), "b": pictures(tmp_path / "b", 3, first=9)}
    source = Mixed(sets)
    both, one = Stream("rgb", bands=RGB), Stream("rgb", bands=RGB, field="b")
    np.testing.assert_array_equal(source.read(3, [both]).inputs["rgb"], sets["b"].read(1, [both]).inputs["rgb"])
    assert source.read(0, [both]).inputs["rgb"] is not None
    assert source.read(0, [one]).inputs["rgb"] is None
    with pytest.raises(DataError, match="stream words: a and b have no text stream of that name or field"):
        source.read(0, [Stream("words", "text", field="caption")])


def test_types_that_differ_are_refused_or_put_on_one_scale(tmp_path):
    deep = Made(3, size=5, masked=True)
    deep.bands = RGB
    sets = {"a": pictures(tmp_path / "a", 2), "b": deep}
    stream = Stream("rgb", bands=RGB)
    with pytest.raises(
        DataError, match=r"stream rgb: values of uint8 in a, uint16 in b; data.source.by_full_scale=true"
    ):
        Mixed(sets).read(0, [stream])
    raw = Mixed(sets, by_full_scale=True).read(0, [stream])
    np.testing.assert_allclose(raw.inputs["rgb"], sets["a"].read(0, [stream]).inputs["rgb"] / 255, atol=1e-6)
    assert raw.scale("rgb") == 1
    assert raw.mask.all()  # a set without masks is seen whole where another has them
    prepared(Mixed(sets, by_full_scale=True), {"rgb": ALL["rgb"]}, labels=())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"species": [1.5, 2.5, 3.5]}, "species holds numbers in b and text in a; expected one of the two"),
        ({"source": ["x", "y", "z"]}, "b has a column 'source', which is the mixture's own; rename it"),
    ],
)
def test_columns_that_cannot_be_one_are_refused(tmp_path, change, said):
    one, two = pictures(tmp_path / "a", 3), pictures(tmp_path / "b", 3)
    one.samples["species"] = list("xyz")
    two.samples = two.samples.assign(**change)
    with pytest.raises(DataError, match=said):
        Mixed({"a": one, "b": two})
    with pytest.raises(DataError, match="apart: no column 'bird' in a, c"):
        Mixed({"a": one, "c": pictures(tmp_path / "c", 2)}, apart=["bird"])


def test_images_of_one_name_in_two_sets_are_two_images(tmp_path):
    sets = {}
    for name in ("a", "b"):
        pictures(tmp_path / name / "img", 2)
        rows = [{"id": f"c{i}", "photo": f"img/p{i // 2}.png", "text": f"word {i}"} for i in range(4)]
        (tmp_path / name / "index.jsonl").write_text("\n".join(map(json.dumps, rows)))
        sets[name] = Pairs(str(tmp_path / name), images=["photo"], texts=["text"])
    source = Mixed(sets, root=str(tmp_path))
    modality = {"photo": {"kind": "image", "bands": "all"}, "text": {"kind": "text", "vocab": 20, "length": 4}}
    made = Data(source, scaling=DtypeMax(), split=Split(by=source.together, train=0.5, val=0, test=0.5), labels="auto")
    batch = made.prepare(modality, 0).batch(np.arange(8))
    assert len(set(batch.same.tolist())) == 4
    assert len(set(batch.items["photo"].tolist())) == 4
    assert batch.present["text"].all()


def test_the_fingerprint_is_of_every_set_and_its_name(tmp_path, mixed):
    mark = fingerprint(mixed, None)
    assert mark != fingerprint(Mixed({"x": mixed.members["one"].source, "two": mixed.members["two"].source}), None)
    path = tmp_path / "one/p0.png"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert fingerprint(mixed, None) != mark


def ids_of(made, epoch, **how):
    return [
        int(i) for batch in made.batches("train", epoch=epoch, shuffle=True, drop_last=True, **how) for i in batch.ids
    ]


def test_an_epoch_has_the_shares_asked_for_on_any_rank_and_after_a_resume(mixed):
    sampling = Sampling("source", {"one": 0.25, "two": 0.75})
    made = prepared(mixed, sampling=sampling)
    train = made.splits["train"]
    assert len(train) == 5  # three images, two spectra
    note = "sampling: of each epoch of training, by source: one 20.0% (has 3 of 5 rows), two 80.0% (has 2 of 5 rows)"
    assert note in made.notes
    seen = set()
    for epoch in range(12):
        rows = sampling.order(made.samples, train, made.ids, 3, epoch)
        assert pd.Series(made.samples.source.to_numpy()[rows]).value_counts().to_dict() == {"two": 4, "one": 1}
        shuffled = sampling.order(made.samples, train[::-1], made.ids, 3, epoch)
        np.testing.assert_array_equal(rows, shuffled)  # of the ids alone
        seen |= set(rows.tolist())
    assert seen == set(train.tolist())
    epoch = ids_of(made, 1)
    assert ids_of(made, 1) == epoch
    assert ids_of(made, 1, start=1) == epoch[4:]
    halves = [ids_of(made, 1, rank=r, world=2) for r in range(2)]
    assert [i for pair in zip(*halves) for i in pair] == epoch
    assert [int(i) for b in made.batches("test") for i in b.ids] == made.ids[made.splits["test"]].tolist()


def test_shares_as_they_are_give_the_order_without_sampling():
    table = pd.DataFrame({"id": [str(i) for i in range(40)], "source": ["a"] * 10 + ["b"] * 30})
    ids, rows = np.arange(100, 140), np.arange(40)
    found = Sampling("source", {"a": 1, "b": 3}).order(table, rows, ids, 1, 2)
    np.testing.assert_array_equal(found, permutation(ids, 1, 2))
    most = Sampling("source", {"a": 3, "b": 1}).order(table, rows, ids, 1, 2)
    assert np.bincount(most, minlength=40)[:10].tolist() == [3] * 10
    assert np.bincount(most, minlength=40)[10:].sum() == 10


@pytest.mark.parametrize(
    ("by", "weights", "said"),
    [
        ("sourc", {}, "sampling.by: no column 'sourc'; .*nearest: source"),
        ("source", {"one": 1}, "weights: none for source 'two'; expected one for each of one, two"),
        (
            "source",
            {"one": 1, "tow": 1, "two": 1},
            "weights: no source 'tow' in the training split; expected one of one, two",
        ),
        ("source", {"one": 1, "two": -1}, "expected numbers from 0, one of them above it"),
    ],
)
def test_shares_that_cannot_be_are_refused(mixed, by, weights, said):
    with pytest.raises(DataError, match=said):
        prepared(mixed, sampling={"by": by, "weights": weights})
