import json
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.resize import Resize
from multimodal_lab.data.streams.scaling import DatasetStats, Percentile

CUBE = {"cube": {"kind": "image", "bands": "all"}}
TEXT = {**CUBE, "words": {"kind": "text", "field": "text", "length": 8}}


def test_streams_carry_what_a_backbone_needs(data, rgb_uv):
    prepared = data().prepare(rgb_uv, 0)
    rgb, uv = prepared.streams["rgb"], prepared.streams["uv"]
    assert (rgb.channels, rgb.size, uv.channels) == (2, 6, 1)
    assert len(rgb.mean) == len(rgb.std) == 2
    assert prepared.classes == {"kind": ["bird", "moth"]}
    batch = next(prepared.batches("train"))
    assert batch.inputs["rgb"].shape == (5, 2, 6, 6)
    assert batch.mask.shape == (5, 1, 6, 6)
    assert batch.inputs["rgb"].dtype == batch.mask.dtype == torch.float32
    assert batch.ids.dtype == batch.groups.dtype == batch.targets["kind"].dtype == torch.int64
    assert batch.present["uv"].all()


def test_statistics_are_those_of_the_training_pixels_inside_the_mask(data, made):
    source = made()
    prepared = data(source).prepare(CUBE, 0)
    pixels = np.concatenate([source.arrays[i][:, source.masks[i]] for i in prepared.splits["train"]], 1) / 65535
    assert np.allclose(prepared.streams["cube"].mean, pixels.mean(1), rtol=1e-6)
    assert np.allclose(prepared.streams["cube"].std, pixels.std(1), rtol=1e-6)


@pytest.mark.parametrize("scaling", [DatasetStats(), Percentile()])
@pytest.mark.parametrize("pca", [{}, {"pca": 2}])
def test_test_samples_and_masked_pixels_teach_nothing(data, made, scaling, pca):
    modality = {"cube": {**CUBE["cube"], **pca}, "words": TEXT["words"]}
    plain, spoilt = made(), made()
    rows = data(plain).prepare(CUBE, 0).splits
    for row in [*rows["val"], *rows["test"]]:
        spoilt.arrays[row][:] = 65535
        spoilt.samples.loc[row, "text"] = "unseen nonsense"
    for row in rows["train"]:
        spoilt.arrays[row][:, ~spoilt.masks[row]] = 65535
    one, two = (data(s, scaling=scaling).prepare(modality, 0) for s in (plain, spoilt))
    assert one.streams == two.streams
    assert one.record()["streams"] == two.record()["streams"]
    spoilt.arrays[rows["train"][0]][:] //= 4
    taught = data(spoilt, scaling=scaling).prepare(modality, 0).record()["streams"]["cube"]["scaling"]
    for fact, learnt in one.record()["streams"]["cube"]["scaling"].items():
        assert np.abs(np.subtract(taught[fact], learnt)).max() > 10  # in stored units, of 65535


def test_pixels_outside_the_mask_are_blank_unless_kept(data, made):
    source = made()
    zero, keep = (next(data(source, background=m).prepare(CUBE, 0).batches("all")) for m in ("zero", "keep"))
    outside = (zero.mask == 0).expand_as(zero.inputs["cube"])
    assert not zero.inputs["cube"][outside].any()
    assert keep.inputs["cube"][outside].any()
    assert torch.equal(zero.inputs["cube"][~outside], keep.inputs["cube"][~outside])


def test_cache_changes_nothing_and_reads_each_sample_once(data, made, rgb_uv):
    source, reads = made(), []
    plain = list(data(source).prepare({**rgb_uv, **TEXT}, 0).batches("all", epoch=1, shuffle=True))
    read = source.read

    def counted(index, streams):
        if any(s.kind != "text" for s in streams):  # texts alone are read once more, to tell what a tokenizer loses
            reads.append(index)
        return read(index, streams)

    source.read = counted
    prepared = data(source, cache=True).prepare({**rgb_uv, **TEXT}, 0)
    for a, b in zip(plain, prepared.batches("all", epoch=1, shuffle=True), strict=True):
        assert all(torch.equal(a.inputs[n], b.inputs[n]) for n in a.inputs)
        assert torch.equal(a.mask, b.mask)
    assert sorted(reads) == list(range(24))


def test_without_cache_a_batch_reads_each_sample_once_for_all_its_streams(data, made, rgb_uv):
    source, reads = made(), []
    prepared = data(source).prepare({**rgb_uv, **TEXT}, 0)
    read = source.read
    source.read = lambda index, streams: reads.append(index) or read(index, streams)
    list(prepared.batches("all"))
    assert reads == list(range(24))


def test_held_out_samples_are_checked_before_training_unless_told_not_to(data, made):
    source = made()
    source.masks[data(source).prepare(CUBE, 0).splits["test"][0]][:] = False
    with pytest.raises(DataError, match="mask is all zero"):
        data(source).prepare(CUBE, 0)
    prepared = data(source, verify="headers").prepare(CUBE, 0)
    with pytest.raises(DataError, match="mask is all zero"):
        list(prepared.batches("test"))


def test_a_missing_modality_is_zeros_and_not_present(data, made):
    source = made()
    source.arrays[3] = None
    prepared = data(source).prepare(CUBE, 0)
    batch = prepared.batch(np.array([2, 3]))
    assert batch.present["cube"].tolist() == [True, False]
    assert not batch.inputs["cube"][1].any()
    assert batch.inputs["cube"][0].any()


def test_vectors_and_components(data, made):
    prepared = data(made(masked=False)).prepare({"v": {"kind": "vector", "bands": ["G", "R"]}}, 0)
    batch = next(prepared.batches("train"))
    assert batch.inputs["v"].shape == (5, 2)
    assert batch.mask is None
    assert prepared.streams["v"].size is None
    cube = data().prepare({"cube": {"kind": "image", "bands": "all", "pca": 2}}, 0)
    assert [b.name for b in cube.streams["cube"].bands] == ["PC1", "PC2"]
    assert np.allclose(cube.streams["cube"].mean, 0, atol=1e-6)
    assert cube.streams["cube"].std[0] > cube.streams["cube"].std[1]


def test_text_in_and_text_out(data, made):
    target = {"role": "target", "vocab": 9}
    prepared = data(made()).prepare({**TEXT, "caption": {**TEXT["words"], **target}}, 0)
    assert set(prepared.streams) == {"cube", "words"}
    assert set(prepared.target_streams) == {"caption"}
    assert prepared.streams["words"].length == 8
    batch = prepared.batch(np.array([0]))
    assert batch.inputs["words"].shape == batch.targets["caption"].shape == (1, 8)
    assert "caption" not in batch.present
    assert prepared.tokens["words"].decode(batch.inputs["words"][0]) == "word0 and blue"


def test_one_of_several_captions_is_drawn_in_training_and_the_first_taken_otherwise(data, made):
    source = made()
    source.samples["text"] = [[f"first{i % 2}", "second", "third"] for i in range(24)]
    prepared = data(source, batch_size=24).prepare(TEXT, 0)

    def said(**how):
        batch = next(prepared.batches("all", **how))
        pairs = zip(batch.ids.tolist(), batch.inputs["words"], strict=True)
        return {i: prepared.tokens["words"].decode(w) for i, w in pairs}

    assert set(said().values()) == {"first0", "first1"}
    epochs = [said(epoch=e, shuffle=True) for e in (0, 1)]
    assert epochs[0] != epochs[1]
    assert {"second", "third"} <= set(epochs[0].values())
    assert epochs[0] == said(epoch=0, shuffle=True)


def test_labels_of_every_sort(data, made):
    source = made()
    source.samples["kind"] = [None, *source.samples["kind"][1:]]
    source.samples["age"] = pd.array([3, 11, None] * 8, dtype="Int64")
    source.samples["tags"] = [["x", "y"] if i % 2 else ["y"] for i in range(24)]
    prepared = data(source, labels=["kind", "age", "weight", "tags"]).prepare(CUBE, 0)
    batch = prepared.batch(np.array([0, 1, 2]))
    assert batch.targets["kind"].tolist() == [-1, 1, 1]
    assert batch.targets["age"].tolist() == [0, 1, -1]
    assert batch.targets["weight"].dtype == torch.float32
    assert batch.targets["tags"].tolist() == [[0, 1], [1, 1], [0, 1]]
    assert prepared.classes == {"kind": ["bird", "moth"], "age": ["3", "11"], "weight": [], "tags": ["x", "y"]}
    assert sum(split["kind"].get("missing", 0) for split in prepared.counts.values()) == 1


def test_kinds_say_what_the_type_of_a_column_does_not(data, made):
    source = made()
    source.samples["eggs"] = pd.array([3, 11, None] * 8, dtype="Int64")
    source.samples["stage"] = [2.0, 1.0, None] * 8
    kinds = {"eggs": "number", "stage": "class"}
    prepared = data(source, labels=[*kinds], kinds=kinds).prepare(CUBE, 0)
    assert prepared.classes == {"eggs": [], "stage": ["1", "2"]}
    assert prepared.batch(np.array([0, 1])).targets["eggs"].tolist() == [3.0, 11.0]
    assert prepared.batch(np.array([0, 1, 2])).targets["stage"].tolist() == [1, 0, -1]
    kept = json.loads(json.dumps(prepared.record()))
    again = data(source, labels=[*kinds]).prepare(CUBE, 0, kept)  # as a trained run knows them
    assert again.batch(np.array([0, 1])).targets["eggs"].tolist() == [3.0, 11.0]
    for wrong, said in (({"egs": "number"}, r"data.kinds: no column 'egs'.*nearest: eggs"),
                        ({"kind": "number"}, r"data.kinds.kind: number, but kind holds 'moth'")):  # fmt: skip
        with pytest.raises(DataError, match=said):
            data(source, labels=["kind"], kinds=wrong).prepare(CUBE, 0)


def test_a_record_makes_new_files_look_as_the_training_files_did(data, made):
    trained = data(made(), scaling=DatasetStats()).prepare(TEXT, 0)
    kept = json.loads(json.dumps(trained.record(), allow_nan=False))
    again = data(made(), scaling=DatasetStats()).prepare(TEXT, 0, kept)
    assert again.streams == trained.streams
    assert {k: v.tolist() for k, v in again.splits.items()} == {k: v.tolist() for k, v in trained.splits.items()}
    new = made(4)
    new.masks = made().masks[:4]
    new.samples = new.samples.assign(id=list("abcd")).drop(columns=["kind", "group"])
    seen = data(new, scaling=DatasetStats()).prepare(TEXT, 0, kept)
    assert seen.splits == {}
    assert seen.streams == trained.streams
    assert seen.classes == trained.classes
    one, two = seen.batch(np.arange(4)), trained.batch(np.arange(4))
    assert torch.equal(one.inputs["cube"], two.inputs["cube"])
    assert torch.equal(one.inputs["words"], two.inputs["words"])
    assert one.targets["kind"].tolist() == [-1] * 4


def test_a_record_of_other_choices_is_refused(data, made):
    kept = data().prepare(CUBE, 0).record()
    with pytest.raises(DataError, match=r"data/scaling is percentile here.*add data/scaling=dtype_max"):
        data(scaling=Percentile()).prepare(CUBE, 0, kept)
    with pytest.raises(DataError, match=r"takes bands R, but the run was trained on R, G, UV1"):
        data().prepare({"cube": {"kind": "image", "bands": ["R"]}}, 0, kept)
    with pytest.raises(DataError, match="no stream 'other'"):
        data().prepare({"other": CUBE["cube"]}, 0, kept)
    with pytest.raises(DataError, match="dtype float32"):
        data(made(dtype="float32")).prepare(CUBE, 0, kept).batch(np.array([0]))


def _infinite(source):
    source.arrays[4][1] = np.inf


def _nan(source):
    source.arrays[4][1][source.masks[4]] = np.nan


def _blank(source):
    source.masks[4] = np.zeros((6, 6), dtype=bool)


def _shape(source):
    source.arrays[4], source.masks[4] = source.arrays[4][:, :5, :5], source.masks[4][:5, :5]


def _depth(source):
    source.arrays[4] = source.arrays[4].astype("float64")


def _unmasked(source):
    source.masks[4] = None


def _broken(source):
    source.arrays[4] = "not an array"


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_nan, "no pixel inside its mask was measured .*band G of cube"),
        (_infinite, r"\d+ infinite values in band G of stream cube"),
        (_blank, "mask is all zero"),
        (_shape, r"shape \[3, 5, 5\].*data\.size"),
        (_depth, "dtype float64"),
        (_unmasked, "no mask"),
        (_broken, "can't be read: TypeError"),
    ],
)
def test_a_bad_sample_is_named_with_its_path(data, made, spoil, words, cache):
    source = made(dtype="float32")
    spoil(source)
    with pytest.raises(DataError, match=words) as error:
        list(data(source, cache=cache).prepare(CUBE, 0).batches("all"))
    assert "'s04' (dir/s04.tif)" in str(error.value)


def test_mixed_shapes_are_resized_only_when_asked(data, made):
    source = made()
    _shape(source)
    batch = data(source, size=4).prepare(CUBE, 0).batch(np.arange(6))
    assert batch.inputs["cube"].shape == (6, 3, 4, 4)
    assert batch.mask.shape == (6, 1, 4, 4)
    with pytest.raises(DataError, match=r"expected data\.size 4; data\.resize=area"):
        data(source, size=4, resize="none").prepare(CUBE, 0)


def test_resizing_averages_inside_the_mask_and_pads_or_stretches():
    x = np.ones((1, 4, 8), dtype=np.float32)
    mask = np.zeros((4, 8), dtype=bool)
    mask[:, :4] = True
    x[:, :, 4:] = 100
    padded = Resize(4, "area", "pad")
    small = padded.mask(mask)
    assert small.tolist() == [[False] * 4, [True, True, False, False], [True, True, False, False], [False] * 4]
    assert np.allclose(padded.image(x, mask)[0][small], 1)
    assert Resize(4, "area", "stretch").mask(mask).tolist() == [[True, True, False, False]] * 4
    with pytest.raises(DataError, match="4 x 8 pixels is not square"):
        Resize(None, "area", "pad").mask(mask)


@pytest.mark.parametrize(
    ("modality", "words"),
    [
        ({}, "no input stream"),
        ({"c": {"kind": "text", "field": "text", "role": "target"}}, "no input stream"),
        ({"c": {"kind": "image", "bands": "all", "role": "target"}}, "role"),
        ({"c": {"kind": "image", "bands": "all", "pca": 0}}, "pca"),
        ({"c": {"kind": "image", "bands": "all", "pca": 4}}, "at most 3"),
        ({"c": {"kind": "image", "bands": "all", "vocab": 9}}, "vocab"),
        ({"c": {"kind": "text", "field": "text", "tokens": "words"}}, "bpe"),
    ],
)
def test_an_impossible_modality_is_refused(data, modality, words):
    with pytest.raises(DataError, match=words):
        data().prepare(modality, 0)


def test_bad_labels_and_ids_are_refused(data, made):
    source = made()
    with pytest.raises(DataError, match="no column 'sex'"):
        data(source, labels=["sex"]).prepare(CUBE, 0)
    source.samples["odd"] = ["one"] + ["many"] * 23
    with pytest.raises(DataError, match=r"odd 'one' has one sample \('s00'\)"):
        data(source, labels=["odd"]).prepare(CUBE, 0)
    source.samples["id"] = ["same"] * 24
    with pytest.raises(DataError, match="'same' stands twice"):
        data(source, labels=[]).prepare(CUBE, 0)


def test_the_fingerprint_follows_the_content_not_the_place(data, made, tmp_path):
    def mark(folder, content):
        (tmp_path / folder / "dir").mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "dir" / "s00.tif").write_bytes(content)
        source = made()
        source.samples["path"] = [str(tmp_path / folder / p) for p in source.samples["path"]]
        return data(source, root=str(tmp_path / folder)).prepare(CUBE, 0).fingerprint

    assert mark("a", b"1") == mark("b", b"1")
    assert mark("a", b"1") != mark("a", b"2")
    assert mark("a", b"x" * 3_000_000) != mark("a", b"x" * 2_999_999 + b"y")


def test_only_text_imports_the_tokenizer_library(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    monkeypatch.delitem(sys.modules, "multimodal_lab.data.streams.tokenizer", raising=False)
    data().prepare(CUBE, 0)
    with pytest.raises(ImportError, match="tokenizers"):
        data().prepare(TEXT, 0)


def test_by_no_group_each_sample_is_its_own(data):
    prepared = data(split=Split()).prepare(CUBE, 0)
    assert len(set(prepared.groups.tolist())) == 24


def test_a_text_stream_is_learnt_with_a_memory_and_remembered(data):
    known, reads = {}, []

    class Memory:
        def get(self, facts):
            reads.append(json.dumps(facts, sort_keys=True) in known)
            return known.get(json.dumps(facts, sort_keys=True))

        def put(self, facts, found):
            known[json.dumps(facts, sort_keys=True)] = json.loads(json.dumps(found))

    first, second = (data().prepare(TEXT, 0, memory=Memory(), encodes=True) for _ in range(2))
    # what two streams learn, the digests of what the cube holds, and what texts lose at their tokenizer
    assert reads == 4 * [False] + 4 * [True]
    one, two = next(first.batches("all")), next(second.batches("all"))
    assert torch.equal(one.inputs["words"], two.inputs["words"])
    assert first.streams["words"] == second.streams["words"]
