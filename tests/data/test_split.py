import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import Split


def table(groups, **columns):
    return pd.DataFrame({"id": [f"s{i}" for i in range(len(groups))], "ind": [f"g{g}" for g in groups], **columns})


def ids(samples, rows):
    return {name: sorted(samples["id"].iloc[r]) for name, r in rows.items()}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 11), min_size=12, max_size=60), st.integers(0, 2**40))
def test_a_group_never_crosses_and_every_row_has_one_split(groups, seed):
    samples = table([*groups, 100, 101, 102])
    rows = Split(by="ind", train=0.5, val=0.2, test=0.3, seed=seed).assign(samples)
    homes = [{samples["ind"].iloc[i] for i in r} for r in rows.values()]
    assert not homes[0] & homes[1]
    assert not homes[0] & homes[2]
    assert not homes[1] & homes[2]
    assert sorted(np.concatenate(list(rows.values()))) == list(range(len(samples)))
    assert all(len(r) for r in rows.values())


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 1000))
def test_the_order_of_the_rows_changes_nothing(random, seed):
    samples = table([i // 2 for i in range(40)], sp=["a" if i < 24 else "b" for i in range(40)])
    order = list(range(40))
    random.shuffle(order)
    shuffled = samples.iloc[order].reset_index(drop=True)
    split = Split(by="ind", stratify="sp", seed=seed)
    assert ids(samples, split.assign(samples)) == ids(shuffled, split.assign(shuffled))


def test_strata_are_shared_out_in_proportion_by_group():
    samples = table([i // 2 for i in range(80)], sp=["a" if i < 60 else "b" for i in range(80)])
    rows = Split(by="ind", stratify="sp", train=0.5, val=0.1, test=0.4).assign(samples)
    found = {name: samples.iloc[r].drop_duplicates("ind")["sp"].value_counts().to_dict() for name, r in rows.items()}
    assert found == {"train": {"a": 15, "b": 5}, "val": {"a": 3, "b": 1}, "test": {"a": 12, "b": 4}}


def test_seeds_differ_and_repeat():
    samples = table(range(50))
    one, two = (ids(samples, Split(seed=s).assign(samples)) for s in (0, 1))
    assert one == ids(samples, Split(seed=0).assign(samples))
    assert one != two


def test_a_share_of_zero_leaves_the_split_out():
    assert set(Split(train=0.8, val=0, test=0.2).assign(table(range(10)))) == {"train", "test"}


def test_a_class_with_one_group_is_refused_by_name_with_the_choices():
    samples = table([0, 0, 1, 2, 3, 4], sp=["rare", "rare", "a", "a", "a", "a"])
    with pytest.raises(DataError, match=r"sp 'rare' has 1 ind \('g0'\).*min_class_policy=train.*stratify=null"):
        Split(by="ind", stratify="sp").assign(samples)
    rows = Split(by="ind", stratify="sp", min_class_policy="train").assign(samples)
    assert {0, 1} <= set(rows["train"])


def test_too_few_groups_are_refused():
    with pytest.raises(DataError, match="2 ind"):
        Split(by="ind").assign(table([0, 0, 0, 1, 1]))


def test_an_official_split_is_followed_and_val_carved_by_group_out_of_train():
    samples = table([i // 2 for i in range(40)], part=["Train"] * 30 + ["test"] * 10)
    rows = Split(by="ind", column="part", val=0.2).assign(samples)
    assert sorted(rows["test"]) == list(range(30, 40))
    assert len(rows["val"]) == 6
    assert not set(samples["ind"].iloc[rows["val"]]) & set(samples["ind"].iloc[rows["train"]])
    samples["part"] = ["train"] * 20 + ["valid"] * 10 + ["test"] * 10
    assert {k: len(v) for k, v in Split(by="ind", column="part").assign(samples).items()} == {
        "train": 20,
        "val": 10,
        "test": 10,
    }


def test_a_group_in_two_official_splits_is_refused_by_name():
    samples = table([0, 1, 1, 2], part=["train", "train", "test", "test"])
    with pytest.raises(DataError, match=r"ind 'g1' is in both train and test"):
        Split(by="ind", column="part", val=0).assign(samples)


@pytest.mark.parametrize(
    ("facts", "columns", "words"),
    [
        ({"by": "nest"}, {}, "no column 'nest'"),
        ({"stratify": "nest"}, {}, "no column 'nest'"),
        ({"column": "part"}, {"part": ["train", "holdout", "test", "test"]}, "'s1' has part 'holdout'"),
        ({"column": "part"}, {"part": ["train", None, "test", "test"]}, "'s1' has part"),
        ({"column": "part"}, {"part": ["test"] * 4}, "'train'"),
        ({"by": "site"}, {"site": ["a", None, "b", "c"]}, "'s1' has no site"),
        ({"by": "ind", "stratify": "sex"}, {"ind": ["g0", "g0", "g1", "g2"], "sex": list("mfmf")}, "'g0' has sex 'm'"),
    ],
)
def test_bad_columns_are_refused(facts, columns, words):
    with pytest.raises(DataError, match=words):
        Split(**facts).assign(table(range(4)).assign(**columns))


@pytest.mark.parametrize("shares", [(0.5, 0.1, 0.1), (0.0, 0.5, 0.5)])
def test_shares_must_make_a_whole(shares):
    with pytest.raises(DataError, match=r"data\.split"):
        Split(train=shares[0], val=shares[1], test=shares[2])
