import numpy as np
import pytest
from made_source import Made

from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.shuffle import Shuffle


def both(data, rgb_uv, shuffle, **facts):
    return [data(**facts, shuffle=s).prepare(rgb_uv, 0) for s in (None, shuffle)]


def first_values(prepared, stream):
    """One number a row that tells whose picture it is."""
    return prepared.batch(np.arange(len(prepared.samples))).inputs[stream][:, 0].sum((1, 2)).numpy()


@pytest.mark.parametrize("cache", [True, False])
def test_each_row_has_the_stream_of_another_row_of_its_split_and_the_rest_is_its_own(data, rgb_uv, cache):
    plain, mixed = both(data, rgb_uv, Shuffle("uv"), cache=cache)
    assert np.array_equal(first_values(plain, "rgb"), first_values(mixed, "rgb"))
    uv, other = first_values(plain, "uv"), first_values(mixed, "uv")
    assert np.array_equal(plain.targets["kind"], mixed.targets["kind"])
    for split, rows in plain.splits.items():
        assert np.array_equal(rows, mixed.splits[split])
        assert sorted(uv[rows]) == sorted(other[rows])
        assert not (uv[rows] == other[rows]).any()


def test_within_a_label_the_other_row_has_the_same_one(data, rgb_uv):
    _, mixed = both(data, rgb_uv, Shuffle("uv", within="kind"))
    source = mixed.stack.sources["uv"]
    kind = mixed.samples["kind"].to_numpy()
    assert (kind[source] == kind).all()
    assert (source != np.arange(len(source))).all()
    across = both(data, rgb_uv, Shuffle("uv"))[1].stack.sources["uv"]
    assert (kind[across] != kind).any()


def test_the_pairing_is_of_ids_and_seed_alone(data, rgb_uv):
    made = Made()
    one = data(made, shuffle=Shuffle("uv")).prepare(rgb_uv, 0)
    turned = Made()
    turned.arrays, turned.masks = made.arrays[::-1], made.masks[::-1]
    turned.samples = made.samples[::-1].reset_index(drop=True)
    two = data(turned, shuffle=Shuffle("uv")).prepare(rgb_uv, 7)

    def pairs(p):
        names = p.samples["id"].to_numpy()
        return dict(zip(names, names[p.stack.sources["uv"]]))

    assert pairs(one) == pairs(two)
    assert pairs(one) != pairs(data(shuffle=Shuffle("uv", seed=1)).prepare(rgb_uv, 0))


def test_presence_goes_along_and_one_alone_keeps_its_own(data):
    made = Made()
    made.arrays[5] = None
    modality = {"uv": {"kind": "image", "bands": ["UV*"]}, "again": {"kind": "image", "bands": ["UV*"]}}
    mixed = data(made, shuffle=Shuffle("again")).prepare(modality, 0)
    source = mixed.stack.sources["again"]
    present = mixed.batch(np.arange(24)).present
    assert not present["uv"][5]
    assert np.flatnonzero(~present["again"].numpy()).tolist() == np.flatnonzero(source == 5).tolist()
    alone = Shuffle("uv", within="id").sources(mixed.samples, mixed.ids, mixed.splits)
    assert (alone == np.arange(24)).all()


@pytest.mark.parametrize("cache", [True, False])
def test_some_bands_of_a_stacked_stream_move_and_the_others_stay(data, cache):
    stacked = {"stacked": {"kind": "image", "bands": ["R", "UV*"]}}
    made = Made(masked=False)
    made.arrays[5] = None
    plain, mixed = both(data, stacked, Shuffle("stacked", bands=["UV*"]), source=made, cache=cache)
    one, two = (p.batch(np.arange(24)) for p in (plain, mixed))
    source, there = mixed.stack.sources["stacked"], two.present["stacked"].numpy()
    assert np.flatnonzero(~there).tolist() == sorted([5, *np.flatnonzero(source == 5)])
    assert np.array_equal(one.inputs["stacked"][there, 0], two.inputs["stacked"][there, 0])
    assert np.array_equal(one.inputs["stacked"][source[there], 1], two.inputs["stacked"][there, 1])


def test_it_is_told_and_recorded(data, rgb_uv):
    mixed = data(shuffle={"stream": "uv", "within": "kind"}).prepare(rgb_uv, 0)
    assert mixed.record()["shuffle"] == {"stream": "uv", "within": "kind", "seed": 0, "bands": None}
    (note,) = [n for n in mixed.record()["notes"] if n.startswith("shuffled")]
    assert (
        note
        == "shuffled: uv of 24 of 24 samples is another sample's, of the same split and kind (seed 0): a negative control"
    )


@pytest.mark.parametrize(
    ("shuffle", "words"), [(Shuffle("nir"), "no stream 'nir'; the modality has rgb, uv"),
                           (Shuffle("uv", bands=["NIR"]), "no band matches 'NIR'; uv has UV1"),
                           (Shuffle("uv", within="sort"), "no column 'sort'; there are id")]
)  # fmt: skip
def test_what_is_not_there_is_named(data, rgb_uv, shuffle, words):
    with pytest.raises(DataError, match=words):
        data(shuffle=shuffle).prepare(rgb_uv, 0)


def test_several_streams_are_re_paired_each_by_itself(data):
    modality = {n: {"kind": "image", "bands": [b]} for n, b in (("one", "R"), ("two", "G"), ("three", "UV1"))}
    mixed = data(shuffle=Shuffle(["two", "three"])).prepare(modality, 0)
    two, three = (mixed.stack.sources[n] for n in ("two", "three"))
    assert "one" not in mixed.stack.sources
    assert (two != three).any()
    assert np.array_equal(two, data(shuffle=Shuffle("two")).prepare(modality, 0).stack.sources["two"])
