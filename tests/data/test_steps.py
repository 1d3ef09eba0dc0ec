"""Streams with a time axis: padded, with gaps, of one rate and of a known length."""

import re

import numpy as np
import pytest
import torch
from made_series import Series

from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.scaling import NoScaling

ACC = {"kind": "vector", "bands": ["x", "y"], "steps": None}


@pytest.fixture
def prepared(data):
    def prepare(source=None, changes=None, frozen=None, name="acc", **facts):
        made = data(source or Series(), scaling=NoScaling(), **(changes or {}))
        return made.prepare({name: {**ACC, **facts}}, seed=0, frozen=frozen)

    return prepare


def real(source, rows):
    return np.concatenate([source.arrays[i][:2].reshape(2, -1) for i in rows], 1)


def test_a_batch_holds_what_was_recorded_and_says_where(prepared):
    source = Series()
    found = prepared(source)
    longest = max(source.arrays[i].shape[1] for i in found.rows("train"))
    assert (found.streams["acc"].steps, found.streams["acc"].rate) == (longest, None)
    batch = found.batch(np.arange(16))
    assert batch.inputs["acc"].shape == (16, 2, longest)
    assert batch.valid["acc"].shape == (16, longest)
    for i, x in enumerate(source.arrays):
        assert batch.valid["acc"][i].tolist() == [t < x.shape[1] for t in range(longest)]
        np.testing.assert_array_equal(batch.inputs["acc"][i, :, : x.shape[1]], x[:2])
    values = real(source, found.rows("train"))
    np.testing.assert_allclose(found.streams["acc"].mean, values.mean(1), rtol=1e-6)  # no padded step has a part
    np.testing.assert_allclose(found.streams["acc"].std, values.std(1), rtol=1e-6)
    torch.testing.assert_close(batch.inputs["acc"][0, :, -1], torch.tensor(found.streams["acc"].mean))


@pytest.mark.parametrize(("rule", "lacking"), [("any", True), ("all", False)])
def test_a_gap_is_not_valid_where_any_band_or_all_lack_it(prepared, rule, lacking):
    source = Series()
    source.arrays[0][:, 1] = np.nan
    source.arrays[0][0, 2] = np.nan
    found = prepared(source, {"nodata": rule})
    batch = found.batch(np.arange(2))
    assert batch.valid["acc"][0, :4].tolist() == [True, False, not lacking, True]
    assert batch.inputs["acc"].isfinite().all()
    mean = torch.tensor(found.streams["acc"].mean)
    torch.testing.assert_close(batch.inputs["acc"][0, :, 1], mean)
    torch.testing.assert_close(batch.inputs["acc"][0, 0, 2], mean[0])
    (note,) = [n for n in found.notes if n.startswith("nodata")]
    assert "training recordings of acc" in note
    assert ("steps" in note) == lacking


def test_values_that_a_file_declares_missing_are_gaps(prepared):
    source = Series()
    source.missing[0] = np.zeros((3, 4), dtype=bool)
    source.missing[0][:, 3] = True
    assert prepared(source).batch(np.arange(1)).valid["acc"][0, :5].tolist() == [True, True, True, False, False]


def test_a_recording_without_a_measured_step_is_missing(data):
    source = Series()
    source.arrays[0][:2] = np.nan
    two = {"one": ACC, "two": {**ACC, "bands": ["z"]}}
    batch = data(source, scaling=NoScaling()).prepare(two, seed=0).batch(np.arange(2))
    assert batch.present["one"].tolist() == [False, True]
    assert batch.present["two"].all()
    assert not batch.valid["one"][0].any()
    assert not batch.inputs["one"][0].any()


def test_a_video_is_brought_to_size_frame_by_frame(data):
    source = Series(side=6)
    source.arrays[0][:, 1] = np.nan  # a frame that was lost
    source.arrays[0][:, 0, 0, 0] = np.nan  # a pixel that one frame lacks
    facts = {"kind": "image", "bands": ["x", "y"], "steps": None, "rate": 25}
    found = data(source, scaling=NoScaling(), size=3).prepare({"clip": facts}, seed=0)
    stream, batch = found.streams["clip"], found.batch(np.arange(3))
    assert (stream.size, stream.steps, stream.rate) == (3, 9, 25)
    assert batch.inputs["clip"].shape == (3, 2, 9, 3, 3)
    assert batch.inputs["clip"].isfinite().all()
    assert batch.valid["clip"][0].tolist() == [True, False, True, True, *[False] * 5]
    assert batch.mask.shape == (3, 1, 3, 3)
    alone = data(source, scaling=NoScaling(), size=3)
    for t in (0, 3):  # each frame as the same data set without time has it
        frames = Series(side=6)
        frames.arrays = [x[:, min(t, x.shape[1] - 1)] for x in source.arrays]
        alone = data(frames, scaling=NoScaling(), size=3).prepare(
            {"clip": {"kind": "image", "bands": ["x", "y"]}}, seed=0
        )
        torch.testing.assert_close(batch.inputs["clip"][1, :, t], alone.batch(np.arange(3)).inputs["clip"][1])


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("cache", [False, True])
def test_batches_are_equal_from_memory_and_from_another_process(prepared, workers, cache):
    plain, other = prepared(), prepared(changes={"workers": workers, "cache": cache})
    for a, b in zip(plain.batches("train", shuffle=True), other.batches("train", shuffle=True), strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a.named().values(), b.named().values(), strict=True))
        assert "valid.acc" in b.named()


def test_a_longer_recording_is_refused_or_cut_as_the_key_says(prepared):
    source = Series()
    with pytest.raises(DataError, match=r"'s04': stream acc has 8 steps, expected at most 7; .*\.steps=8 .*longer=cut"):
        prepared(source, steps=7)
    found = prepared(source, steps=7, longer="cut")
    batch = found.batch(np.arange(6))
    assert batch.valid["acc"][5].all()
    (note,) = [n for n in found.notes if "are cut" in n]
    assert re.fullmatch(
        r"recordings of acc are cut at 7 steps: (\d of \d of \w+, the longest of [89] steps(; )?)+", note
    )
    assert found.streams["acc"].steps == 7
    np.testing.assert_array_equal(batch.inputs["acc"][5], source.arrays[5][:2, :7])


def test_new_recordings_are_held_against_the_steps_that_were_learnt(prepared):
    source = Series()
    record = prepared(source).record()
    assert record["streams"]["acc"]["steps"] == 9
    source.arrays[3] = np.ones((3, 12), dtype=np.float32)
    again = prepared(source, frozen=record, longer="cut")
    assert again.batch(np.arange(4)).inputs["acc"].shape == (4, 2, 9)
    with pytest.raises(DataError, match="12 steps, expected at most 9, as the longest of the training split"):
        prepared(source, frozen=record).batch(np.arange(4))
    with pytest.raises(DataError, match=r"modality\.acc\.steps is 7 here, but the run was trained with 9"):
        prepared(source, frozen=record, steps=7)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            {"rate": 50},
            r"stream acc is recorded at 100 Hz, expected 50 Hz as modality\.acc\.rate; a stream has one rate",
        ),
        ({}, r"'s03': stream acc is recorded at 25 Hz, expected 100 Hz as the samples before it"),
    ],
)
def test_a_stream_has_one_rate(prepared, facts, said):
    source = Series()
    source.rates = dict.fromkeys(range(16), 100.0)
    assert prepared(source).streams["acc"].rate == 100
    source.rates[3] = 25.0
    with pytest.raises(DataError, match=said):
        prepared(source, **facts)


def test_what_has_no_steps_and_what_has_some_are_told_apart(prepared, data):
    with pytest.raises(
        DataError, match=r"shape \(2, \d\), expected \(2,\); modality\.acc\.steps=null reads a time axis"
    ):
        data(Series()).prepare({"acc": {"kind": "vector", "bands": ["x", "y"]}}, seed=0)
    still = Series()
    still.arrays = [x[:, 0] for x in still.arrays]
    with pytest.raises(DataError, match=r"shape \(2,\), expected \(2, T\)"):
        prepared(still)
    empty = Series()
    empty.arrays[2] = empty.arrays[2][:, :0]
    with pytest.raises(DataError, match="'s02': stream acc has no steps"):
        prepared(empty)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"kind": "text", "steps": 4}, "steps belongs to a stream of bands, this one is text"),
        ({"kind": "vector", "bands": "all", "rate": 4}, "rate without steps; steps=null gives it a time axis"),
        ({"kind": "vector", "bands": "all", "steps": 0}, "steps: 0 is not a whole number from 1"),
        ({"kind": "vector", "bands": "all", "steps": 4, "longer": "crop"}, "longer: 'crop'; there are refuse, cut"),
    ],
)
def test_a_modality_that_makes_no_sense_is_refused(data, facts, said):
    with pytest.raises(DataError, match=said):
        data(Series()).prepare({"acc": facts}, seed=0)


def test_a_shuffled_stream_brings_its_steps_along(data):
    plain, control = (
        data(Series(), scaling=NoScaling(), shuffle=how).prepare({"acc": ACC, "z": {**ACC, "bands": ["z"]}}, seed=0)
        for how in (None, {"stream": "acc"})
    )
    a, b = plain.batch(np.arange(16)), control.batch(np.arange(16))
    source = control.stack.sources["acc"]
    assert (source != np.arange(16)).any()
    assert torch.equal(b.inputs["acc"], a.inputs["acc"][source])
    assert torch.equal(b.valid["acc"], a.valid["acc"][source])
    assert torch.equal(b.valid["z"], a.valid["z"])


def test_shuffled_bands_are_valid_where_both_recordings_are(data):
    stacked = {"acc": {**ACC, "bands": "all"}}
    plain, control = (
        data(Series(), scaling=NoScaling(), shuffle=how).prepare(stacked, seed=0)
        for how in (None, {"stream": "acc", "bands": ["z"]})
    )
    a, b = plain.batch(np.arange(16)), control.batch(np.arange(16))
    source = control.stack.sources["acc"]
    assert torch.equal(b.valid["acc"], a.valid["acc"] & a.valid["acc"][source])
    assert torch.equal(b.inputs["acc"][:, 2], a.inputs["acc"][source][:, 2])
    assert torch.equal(b.inputs["acc"][:, :2], a.inputs["acc"][:, :2])


def test_a_sample_that_cannot_be_read_has_no_valid_step(data):
    source = Series()
    source.arrays[5] = source.arrays[5][:, :0]
    found = data(source, scaling=NoScaling(), on_error="skip", max_bad=0.5).prepare({"acc": ACC}, seed=0)
    batch = found.batch(np.arange(16))
    assert not batch.present["acc"][5]
    assert not batch.valid["acc"][5].any()
    assert batch.present["acc"].sum() == 15
