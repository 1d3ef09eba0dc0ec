"""Entries taken away at random, and complete cases: what is taken was never there, and held-out samples stay whole."""

import numpy as np
import pytest
from made_source import Made

from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.missing import MissingAtRandom

STREAMS = {
    "rgb": {"kind": "image", "bands": ["R", "G"]},
    "uv": {"kind": "image", "bands": ["UV*"]},
    "text": {"kind": "text", "field": "text", "vocab": 50, "length": 4, "tokens": "word"},
}
THIRD = {"rate": 0.33}


class Memory(dict):
    def get(self, facts):
        return super().get(repr(facts))

    def put(self, facts, found):
        self[repr(facts)] = found


class Gaps(Made):
    """Entries that no file ever had: {stream: rows}."""

    def __init__(self, gaps, **knobs):
        super().__init__(**knobs)
        self.gaps = gaps

    def read(self, index, streams):
        raw = super().read(index, streams)
        raw.inputs |= {s.name: None for s in streams if self.gaps.get(s.name, np.zeros(99))[index]}
        return raw


def prepared(data, n=90, source=None, **facts):
    return data(source or Made(n), **facts).prepare(STREAMS, 0, memory=facts.pop("memory", None))


def equal(one, two):
    """Whether two prepared sets give the same batches, splits and statistics."""
    assert {k: v.tolist() for k, v in one.splits.items()} == {k: v.tolist() for k, v in two.splits.items()}
    assert {k: (s.mean, s.std) for k, s in one.streams.items()} == {k: (s.mean, s.std) for k, s in two.streams.items()}
    assert one.tokens["text"].to_json() == two.tokens["text"].to_json()
    for split in one.splits:
        a, b = (p.batch(p.rows(split)).named() for p in (one, two))
        assert all(np.array_equal(a[k], b[k]) for k in a if not k.startswith("mask"))


@pytest.mark.parametrize("cache", [True, False])
def test_what_is_taken_was_never_there(data, cache):
    taken = prepared(data, missing_at_random=THIRD, cache=cache)
    gone = taken.reader.gone
    equal(taken, prepared(data, source=Gaps(gone, n=90), cache=cache))
    plain = prepared(data, cache=cache)
    assert taken.streams["rgb"].mean != plain.streams["rgb"].mean
    train = taken.rows("train")
    for name, away in gone.items():
        assert set(np.flatnonzero(away)) <= set(train)
        assert 0.15 < away[train].mean() < 0.5
        assert np.array_equal(~away[train], taken.batch(train).present[name])
    assert not np.array_equal(gone["rgb"], gone["uv"])


def test_it_is_of_id_stream_and_seed_alone(data):
    ids = np.arange(3000)
    splits = {"train": ids[:2000], "test": ids[2000:]}
    one = MissingAtRandom(0.3).gone(["a", "b"], ids, splits)
    assert np.array_equal(one["a"], MissingAtRandom({"a": 0.3}).gone(["a"], ids, splits)["a"])
    less = MissingAtRandom({"a": 0.1}, splits=["train", "test"]).gone(["a"], ids, splits)["a"]
    assert not (less[:2000] & ~one["a"][:2000]).any()  # a lower rate takes some of them
    assert less[2000:].any()
    assert abs(one["a"][:2000].mean() - 0.3) < 0.03
    assert abs((one["a"] & one["b"])[:2000].mean() - 0.09) < 0.02  # each stream by itself
    assert (one["a"] != MissingAtRandom(0.3, seed=1).gone(["a"], ids, splits)["a"]).any()
    assert MissingAtRandom(0.0).gone(["a"], ids, splits) == {}


def test_complete_cases_are_trained_on_alone_and_the_test_split_stays(data):
    kept, dropped = (prepared(data, missing_at_random=THIRD, incomplete=how) for how in ("keep", "drop"))
    there = np.logical_and.reduce([x.numpy() for x in kept.batch(kept.rows("train")).present.values()])
    assert 0 < there.sum() < len(there)
    assert np.array_equal(dropped.rows("train"), kept.rows("train")[there])
    assert np.array_equal(dropped.rows("test"), kept.rows("test"))
    own = kept.rows("train")[there]
    others = np.ones(90, dtype=bool)
    others[own] = False
    alone = prepared(data, source=Gaps({"rgb": others, "uv": others}, n=90))
    for name in ("rgb", "uv"):  # statistics are theirs
        assert dropped.streams[name].mean == alone.streams[name].mean != kept.streams[name].mean
    said = [n for n in dropped.notes if "incomplete" in n or "missing at random" in n]
    assert said[0].startswith(f"missing at random: of the {len(kept.rows('train'))} samples of train rgb of ")
    assert said[1] == (
        f"data.incomplete=drop: {len(own)} of {len(kept.rows('train'))} training samples hold all of rgb, uv, text; the "
        "others are left out"
    )


def test_a_memory_knows_what_was_taken_and_a_trained_run_takes_it_again(data):
    memory = Memory()
    runs = {}
    for seed in (0, 1, 0):
        facts = {"missing_at_random": {**THIRD, "seed": seed}, "incomplete": "drop"}
        runs[seed] = data(Made(90), **facts).prepare(STREAMS, 0, memory=memory)
        equal(runs[seed], prepared(data, **facts))
    frozen = data(Made(90), missing_at_random=THIRD, incomplete="drop").prepare(STREAMS, 0, frozen=runs[0].record())
    equal(frozen, runs[0])
    whole = data(Made(90), missing_at_random=THIRD).prepare(STREAMS, 0, resplit="test")
    assert all(x.all() for x in whole.batch(whole.rows("test")).present.values())  # nothing is trained on


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"missing_at_random": {"rate": {"uw": 0.3}}}, "missing_at_random.rate: uw, expected one of rgb, uv, text; nearest: uv"),
        ({"missing_at_random": {**THIRD, "splits": ["tests"]}}, "splits: tests, expected one of .*nearest: test"),
        ({"missing_at_random": {"rate": {"rgb": 0.98, "uv": 0.98}}, "incomplete": "drop"},
         "incomplete=drop: none of the 45 training samples holds all of rgb, uv, text; keep learns"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_told(data, facts, words):
    with pytest.raises(DataError, match=words):
        prepared(data, **facts)
