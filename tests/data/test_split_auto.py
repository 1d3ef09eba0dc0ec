import json

import numpy as np
import pandas as pd
import pytest

from multimodal_lab.data.audit.column_names import classes
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.auto import choose
from multimodal_lab.data.split.split import Split

CUBE = {"cube": {"kind": "image", "bands": "all"}}
AUTO = {"by": "auto", "stratify": "auto"}


def birds(species=2, individuals=6, views=2):
    rows = [(s, i, v) for s in range(species) for i in range(individuals) for v in range(views)]
    return pd.DataFrame(
        {
            "id": [f"{s}_{i}_{v}" for s, i, v in rows],
            "path": "x.tif",
            "individual": [f"{s}_{i}" for s, i, _ in rows],
            "species": [f"s{s}" for s, _, _ in rows],
            "sex": ["MF"[i % 2] for _, i, _ in rows],
            "view": [f"v{v}" for _, _, v in rows],
        }
    )


def test_labels_groups_and_strata_of_a_table_of_birds():
    found = choose(birds(), "auto", Split(**AUTO))
    assert found.labels == ["species", "sex", "view"]
    assert (found.split.by, found.split.stratify) == ("individual", "species")
    assert found.notes == ["labels: species, sex, view", "split: no individual in two splits, stratified by species"]
    assert choose(birds(), None, Split(**AUTO)).labels == found.labels


def test_explicit_settings_stay_and_nothing_is_told():
    split = Split(by=None, stratify="sex")
    found = choose(birds(), ["view"], split)
    assert (found.labels, found.notes) == (["view"], [])
    assert vars(found.split) == vars(split)


def test_one_image_per_individual_needs_no_groups():
    found = choose(birds(views=1), "auto", Split(**AUTO))
    assert found.split.by is None
    assert found.labels == ["species", "sex"]
    assert "individual, another value in every row; view, fewer than two values" in found.notes[0]
    assert "each sample by itself" in found.notes[1]


@pytest.mark.parametrize(
    ("column", "why"),
    [
        (["a"] * 24, "fewer than two values"),
        ([None] * 24, "fewer than two values"),
        ([f"n{i}" for i in range(24)], "another value in every row"),
        ([f"n{i // 2}" for i in range(24)], "each value in one individual only"),
        (
            ["rare", *["a", "b"] * 11, "a"],
            "'rare' has one sample; data.split.min_class_policy=train data.labels=[extra] takes it",
        ),
    ],
)
def test_a_column_that_cannot_be_learnt_is_left_out_and_told(column, why):
    found = choose(birds().assign(extra=column), "auto", Split(**AUTO))
    assert "extra" not in found.labels
    assert f"extra, {why}" in found.notes[0]


def test_numbers_lists_and_missing_values_can_be_learnt_and_bookkeeping_cannot():
    table = birds().assign(
        mass=np.repeat(np.linspace(0, 1, 8), 3),
        tags=[["x"], ["x", "y"]] * 12,
        site=["a", "b", None] * 8,
        split="train",
        height=[8, 9] * 12,
        words=["one", "two"] * 12,
        kept=["train", "val", "test"] * 8,
    )
    found = choose(table, "auto", Split(**AUTO, column="kept"), texts={"words"})
    assert found.labels == ["species", "sex", "view", "mass", "tags", "site"]
    assert found.split.stratify is None  # the official split is as it is
    assert "official column kept" in found.notes[-1]


def test_strata_need_a_group_for_every_split():
    assert choose(birds(individuals=3), "auto", Split(**AUTO)).split.stratify == "species"
    few = birds(species=4, individuals=2)
    found = choose(few, "auto", Split(**AUTO))
    assert found.split.stratify is None
    assert found.notes[1].endswith("not stratified (not by species, 's0' has 2 individual, fewer than 3 splits)")
    assert choose(few, "auto", Split(**AUTO, val=0, train=0.8)).split.stratify == "species"
    assert choose(few.drop(columns="species"), "auto", Split(**AUTO)).split.stratify == "sex"
    assert choose(few[["id", "individual", "view"]], "auto", Split(**AUTO)).split.stratify is None  # changes within


def test_a_group_that_is_missing_or_unknown_is_refused():
    with pytest.raises(DataError, match="has no individual; give it one"):
        choose(birds().assign(individual=[None, *["a", "b"] * 11, "a"]), "auto", Split(**AUTO))
    with pytest.raises(DataError, match="no column 'specimen'; there are id"):
        choose(birds(), "auto", Split(by="specimen"))


def test_the_record_has_what_was_chosen_and_gives_it_to_new_files(data, made):
    def source(n=24):
        found = made(n)
        found.samples = found.samples.rename(columns={"group": "individual", "kind": "species"}).drop(columns="text")
        return found

    auto = {"labels": "auto", "split": Split(**AUTO, train=0.5, val=0.25, test=0.25)}
    trained = data(source(), **auto).prepare(CUBE, 0)
    kept = json.loads(json.dumps(trained.record(), allow_nan=False))
    assert kept["labels"] == list(trained.classes) == ["species"]
    assert kept["split"] == {"by": "individual", "stratify": "species", "column": None}
    assert kept["notes"] == trained.notes
    assert "weight, another value in every row" in trained.notes[0]
    assert len(set(trained.groups.tolist())) == 8
    new = source(4)
    new.samples = new.samples.drop(columns=["species", "individual"]).assign(id=list("abcd"))
    seen = data(new, **auto).prepare(CUBE, 0, kept)
    assert seen.classes == trained.classes
    assert seen.notes == []


def test_lists_are_arrays_in_a_table_that_parquet_gave():
    table = birds().assign(covers=[np.array(["wood", "lake"][: 1 + i % 2], dtype=object) for i in range(24)])
    found = choose(table, "auto", Split(**AUTO))
    assert "covers" in found.labels
    assert choose(table, ["covers"], Split(**AUTO)).split.stratify == "species"
    assert "covers" not in classes(table, ())
