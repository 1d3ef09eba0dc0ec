import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_lab.data.loading import loader
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split import hashing

CUBE = {"cube": {"kind": "image", "bands": "all"}, "words": {"kind": "text", "field": "text"}}


def same(a, b):
    keys = [(a.inputs, b.inputs), (a.targets, b.targets), (a.present, b.present)]
    assert torch.equal(a.ids, b.ids)
    assert torch.equal(a.groups, b.groups)
    assert torch.equal(a.mask, b.mask)
    assert all(torch.equal(x[k], y[k]) for x, y in keys for k in x | y)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_no_bit(data, workers):
    alone = data().prepare(CUBE, 0)
    helped = data(workers=workers).prepare(CUBE, 0)
    for how in ({"split": "train", "epoch": 3, "shuffle": True}, {"split": "test"}):
        pairs = zip(alone.batches(**how), helped.batches(**how), strict=True)
        for a, b in pairs:
            same(a, b)


def test_a_worker_can_be_spawned_with_it(data):
    prepared = data().prepare({"cube": CUBE["cube"]}, 0)
    again = pickle.loads(pickle.dumps(prepared))
    same(prepared.batch(np.arange(3)), again.batch(np.arange(3)))


def test_a_bad_sample_in_a_worker_is_named(data, made):
    source = made()
    prepared = data(source, workers=1).prepare(CUBE, 0)
    source.masks[prepared.splits["test"][0]][:] = False
    with pytest.raises(DataError, match="mask is all zero"):
        list(prepared.batches("test"))


def test_the_order_is_a_function_of_seed_and_epoch(data):
    prepared, other = data().prepare(CUBE, 0), data().prepare(CUBE, 1)

    def seen(p, epoch):
        return torch.cat([b.ids for b in p.batches("train", epoch=epoch, shuffle=True)]).tolist()

    assert seen(prepared, 0) == seen(prepared, 0)
    assert len({tuple(s) for s in (seen(prepared, 0), seen(prepared, 1), seen(other, 0))}) == 3
    assert sorted(seen(prepared, 0)) == sorted(seen(prepared, 1))


def test_the_order_touches_no_global_random_state(data):
    prepared = data(workers=1).prepare(CUBE, 0)
    before, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()
    list(prepared.batches("train", epoch=0, shuffle=True))
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(legacy, np.random.get_state()[1])


def test_the_order_of_rows_does_not_matter_and_every_order_is_likely():
    ids = hashing.stable_ids([f"s{i}" for i in range(50)])
    assert np.array_equal(ids[hashing.permutation(ids, 0, 0)], ids[::-1][hashing.permutation(ids[::-1], 0, 0)])
    first = [int(hashing.permutation(ids[:5], 0, e)[0]) for e in range(2000)]
    assert np.bincount(first).min() > 330


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 4), st.integers(0, 5))
def test_every_row_once_over_all_ranks_and_any_restart(count, size, world, start):
    rows = np.arange(count)
    parts = [list(loader.shards(rows, size, False, start, r, world)) for r in range(world)]
    seen = np.sort(np.concatenate([b for part in parts for b in part] or [rows[:0]]))
    assert np.array_equal(seen, rows[start * size :])
    assert max(map(len, parts)) == max(0, loader.steps(count, size, False) - start)


def test_ranks_share_each_global_batch(data):
    prepared = data().prepare(CUBE, 0)
    how = {"epoch": 1, "shuffle": True, "batch_size": 4, "drop_last": True}
    alone = [b.ids.tolist() for b in prepared.batches("train", **how)]
    ranks = [[b.ids.tolist() for b in prepared.batches("train", rank=r, world=2, **how)] for r in range(2)]
    assert [sorted(a + b) for a, b in zip(*ranks, strict=True)] == [sorted(a) for a in alone]
    assert all(len(b) == 2 for rank in ranks for b in rank)
    assert [b.ids.tolist() for b in prepared.batches("train", start=2, **how)] == alone[2:]
    assert len(alone) == prepared.steps("train", batch_size=4, drop_last=True)


@pytest.mark.parametrize(("how", "words"), [({"batch_size": 99}, "more than the"), ({"world": 2}, "multiple of 2")])
def test_batches_that_cannot_be_are_refused(data, how, words):
    with pytest.raises(DataError, match=words):
        list(data().prepare(CUBE, 0).batches("train", drop_last=True, **how))


def test_an_unknown_split_is_refused(data):
    with pytest.raises(DataError, match=r"'tset'.*test, all"):
        list(data().prepare(CUBE, 0).batches("tset"))


def test_ids_are_the_same_everywhere():
    assert hashing.stable_id("sample") == 940936898388196638
    assert hashing.keys(np.array([940936898388196638]), 1, 2).tolist() == [6808108353112341390]
    with pytest.raises(DataError, match="'a' stands twice"):
        hashing.stable_ids(["a", "b", "a"])
