"""Splits by several columns at once: what shares a value of any of them, over any number of steps, is one group."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_source import Made
from omegaconf import OmegaConf

from multimodal_lab.config.resolvers import register
from multimodal_lab.data.audit.audit import audit, repeats
from multimodal_lab.data.dataset import Data
from multimodal_lab.data.packed import finalize, writer
from multimodal_lab.data.packed.probe import probe
from multimodal_lab.data.packed.reader import Packed
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split import linked
from multimodal_lab.data.split.auto import choose
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import DtypeMax

NO_KM = "${packed:${.root},split.block_km,null}"
IMAGE = {"rgb": {"kind": "image", "bands": ["R", "G"]}}


def table(**columns):
    count = len(next(iter(columns.values())))
    return pd.DataFrame({"id": [f"s{i:02d}" for i in range(count)], **columns})


def cells(value):
    several = [*value] if isinstance(value, list) else [value]
    return {v for v in several if isinstance(v, str) and v}


def oracle(samples, by):
    """{ids} of each group: rows are walked from one to every other that shares a value of a column, by the definition."""
    rows = samples.to_dict("records")

    def share(a, b):
        return any(cells(a[c]) & cells(b[c]) for c in by)

    left, found = list(range(len(rows))), set()
    while left:
        group, todo = set(), [left[0]]
        while todo:
            at = todo.pop()
            group.add(at)
            todo += [i for i in left if i not in group and i not in todo and share(rows[at], rows[i])]
        left = [i for i in left if i not in group]
        found.add(frozenset(rows[i]["id"] for i in group))
    return found


VALUE = st.one_of(st.none(), st.just(""), st.sampled_from("abcdefghijkl"))
SEVERAL = st.one_of(VALUE, st.lists(st.sampled_from("mnopqrstuvw"), max_size=2, unique=True))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(VALUE, VALUE, SEVERAL), min_size=1, max_size=16), st.randoms(use_true_random=False))
def test_groups_are_the_connected_components_whatever_the_order_of_rows(rows, random):
    samples = table(x=[r[0] for r in rows], y=[r[1] for r in rows], z=[r[2] for r in rows])
    named = linked.names(samples, ["x", "y", "z"])
    groups = {frozenset(samples["id"][named == g]) for g in set(named)}
    assert groups == oracle(samples, ["x", "y", "z"])
    assert all(min(ids) in set(named) for ids in groups)  # called by their first id
    order = [*range(len(rows))]
    random.shuffle(order)
    again = linked.names(samples.iloc[order].reset_index(drop=True), ["x", "y", "z"])
    assert again.tolist() == named[order].tolist()


def drawings(n=90, seed=0):
    """`sub` and `word` link across each other; some have no word."""
    draw = np.random.default_rng(seed)
    word = [None if i % 7 == 0 else f"w{draw.integers(5 * n)}" for i in range(n)]
    return table(sub=[f"k{i // 3}" for i in range(n)], word=word, kind=["a" if i < n / 2 else "b" for i in range(n)])


@pytest.mark.parametrize("seed", range(3))
def test_no_value_of_any_column_is_in_two_parts_and_strata_are_those_of_groups(seed):
    samples = drawings()
    samples["half"] = samples["kind"].groupby(linked.names(samples, ["sub", "word"])).transform("first")
    split = Split(by=["sub", "word"], stratify="half", train=0.5, val=0.2, test=0.3, seed=seed)
    rows = split.assign(samples)
    assert sorted(np.concatenate([*rows.values()])) == list(range(len(samples)))
    for column in ("sub", "word"):
        homes = [{*samples[column].iloc[own].dropna()} for own in rows.values()]
        assert not any(a & b for a, b in itertools.combinations(homes, 2))
    of_part = {name: samples.iloc[own].groupby("half")["id"].count().index.tolist() for name, own in rows.items()}
    assert of_part == {"train": ["a", "b"], "val": ["a", "b"], "test": ["a", "b"]}
    for other in ("sub", "word"):  # one column alone lets the other cross
        torn = [{*samples[c].iloc[r].dropna()} for c in ({"sub", "word"} - {other})
                for r in Split(by=[other, "id"], seed=seed).assign(samples).values()]  # fmt: skip
        assert any(a & b for a, b in itertools.combinations(torn, 2))


def test_single_samples_are_dealt_at_the_sizes_of_the_groups_to_measure_what_leaks():
    samples = drawings()
    whole = Split(by=["sub", "word"]).assign(samples)
    found = Split(by=["sub", "word"], group_policy="samples").assign(samples)
    assert {k: len(v) for k, v in found.items()} == {k: len(v) for k, v in whole.items()}
    groups = linked.names(samples, ["sub", "word"])
    assert {*groups[found["train"]]} & {*groups[found["test"]]}
    notes = choose(samples, ["kind"], Split(by=["sub", "word"], group_policy="samples")).notes
    assert any("samples of one group by sub + word stand in train and test" in n for n in notes)


def test_a_list_of_one_is_its_column():
    samples = drawings()
    one, same = Split(by=["sub"], seed=3), Split(by="sub", seed=3)
    assert one.by == "sub"
    assert {k: v.tolist() for k, v in one.assign(samples).items()} == {
        k: v.tolist() for k, v in same.assign(samples).items()
    }


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"by": []}, r"by=\[\]: names no column; expected a column"),
        ({"by": ["sub", "auto"]}, "names auto beside columns"),
        ({"by": ["sub", "sub"]}, "names a column twice"),
        ({"by": ["sub", "wrd"]}, r"data\.split\.by: no column 'wrd'; there are id, sub, word, kind, part \(nearest: word\)"),
        ({"by": ["word", "part"]}, r"'s00' has no word and no part; give it .* itself: data\.split\.by=\[word,part,id\]"),
        ({"by": ["sub", "word"], "stratify": "kind"}, r"group by sub \+ word 's\d\d' has kind 'a' and 'b'; stratify by"),
        ({"by": ["sub", "kind"]}, r"by=\[sub,kind\]: 2 groups by sub \+ kind, too few for 3 parts: the largest holds 45 of 90 "
                                  r"samples \(50%\); it is kind that links most: data\.split\.by=sub gives 30 subs, .* of 3%"),
        ({"by": ["sub", "word"], "column": "home"}, r"no column 'home'"),
    ],
)  # fmt: skip
def test_what_cannot_be_split_by_is_one_sentence(facts, words):
    samples = drawings().assign(part=[None, *"x" * 89])
    with pytest.raises(DataError, match=words):
        Split(**facts).assign(samples)


def test_one_giant_group_is_told_with_the_column_that_makes_it():
    samples = table(nest=[f"n{i // 2}" for i in range(40)], day=["d"] * 24 + [f"d{i}" for i in range(16)])
    (said,) = Split(by=["nest", "day"]).told(samples, {})
    assert said == (
        "warning: split: 9 groups by nest + day, the largest of 60% of 40 samples; it is day that links most: "
        "data.split.by=nest gives 20 nests, the largest of 5%; or leave out the samples that share a day across these"
    )
    (said,) = Split(by=["nest", "id"]).told(samples, {})
    assert said == "split: 20 groups by nest + id, the largest of 5% of 40 samples"
    assert not Split(by="nest").told(samples, {})


def test_auto_keeps_individuals_and_images_whole_where_one_column_does_not():
    samples = table(
        individual=[f"i{i // 2}" for i in range(40)],
        image=[f"p{(i + 1) // 2}" if i % 8 else f"q{i}" for i in range(40)],
    )
    found = choose(samples, [], Split(by="auto"), together="image").split
    assert found.by == ["individual", "image"]
    samples["image"] = [f"p{i // 4}" for i in range(40)]  # each individual is on one image
    assert choose(samples, [], Split(by="auto"), together="image").split.by == "image"
    samples["image"] = [f"p{i // 2}" for i in range(40)]
    samples["individual"] = [f"i{(i + 1) // 2}" for i in range(40)]  # a chain through all of them
    chain = choose(samples, [], Split(by="auto"), together="image")
    assert chain.split.by == "image"
    assert any("individual may stand in two splits" in n and "[individual,image] links 100%" in n for n in chain.notes)


def source():
    """Made images; `ring` joins the groups two and two, but for one row without."""
    made = Made(n=36)
    made.samples["ring"] = [f"r{i // 3 // 2}" for i in range(36)]
    made.samples.loc[5, "ring"] = None
    made.samples["plot"] = [f"p{i % 9}" if i < 12 else f"u{i}" for i in range(36)]
    return made


def prepared(made, by, frozen=None, **more):
    split = Split(by=by, train=0.5, val=0.0, test=0.5)
    factory = Data(made, scaling=DtypeMax(), split=split, labels=["kind"], **more)
    return factory, factory.prepare(IMAGE, 0, frozen=frozen)


def test_a_run_its_record_its_repeats_and_new_files_know_the_groups():
    made = source()
    factory, data = prepared(made, ["group", "ring"])
    assert data.facts["split"]["by"] == ["group", "ring"]
    assert np.array_equal(data.groups, np.arange(36) // 6)
    assert "split: 6 groups by group + ring, the largest of 17% of 36 samples" in data.notes
    for rows in repeats(factory, data, [0, 1, 2]).values():
        assert not {*data.groups[rows["train"]]} & {*data.groups[rows["test"]]}
    new = source()
    new.samples = new.samples.drop(columns="ring")
    new.fingerprint = "other"
    alone = prepared(new, ["group", "ring"], data.record())[1].groups
    assert [len({*alone[i : i + 3]}) for i in range(0, 36, 3)] == [1] * 12
    assert len({*alone}) == 12


def test_a_packed_store_is_split_by_the_same_groups(tmp_path):
    made = source()
    made.samples.loc[5, "ring"] = "r0"
    plan = writer.begin(made, probe(made), tmp_path / "packed", {})
    writer.write(plan, 1, lambda done, total: None)
    split = Split(by=["group", "ring"], train=0.5, val=0.0, test=0.5)
    choices = {"labels": None, "split": {"by": ["group", "ring"]}}
    finalize.finish(plan, "x", choices, finalize.split_of(plan, split, None), "report")
    register()
    kept = OmegaConf.create({"root": str(tmp_path / "packed"), "by": "${packed:${.root},split.by}", "km": NO_KM})
    assert (kept.by, kept.km) == (["group", "ring"], None)
    there = prepared(Packed(str(tmp_path / "packed")), ["group", "ring"])[1]
    here = prepared(made, ["group", "ring"])[1]
    assert np.array_equal(there.groups, here.groups)
    assert {k: v.tolist() for k, v in there.splits.items()} == {k: v.tolist() for k, v in here.splits.items()}


def test_the_audit_proposes_the_list_that_mends_the_split():
    made = source()
    made.samples = made.samples.rename(columns={"group": "individual", "ring": "nest"})
    made.arrays[30], made.masks[30] = made.arrays[0], made.masks[0]  # the same picture under two names
    made.samples["shot"] = [f"shot {0 if i == 30 else i}" for i in range(36)]

    def found(by):
        _, data = prepared(made, by)
        return [f for f in audit(data, None, labels=["kind"]).findings if f.void]

    torn = {f.kind: f for f in found("individual")}
    assert torn["group leak"].where == "nest"
    assert "data.split.by=[individual,nest] keeps each in one part" in torn["group leak"].sentence
    copies = [f for f in found(["individual", "nest"]) if f.kind == "exact duplicate"]
    assert "give copies one group: data.split.by=[individual,nest,shot] keeps each in one part" in copies[0].sentence
    assert not found(["individual", "nest", "shot"])


def test_no_column_that_a_class_says_is_proposed():
    made = source()
    made.samples = made.samples.rename(columns={"group": "individual"}).drop(columns="ring")
    kind = made.samples["kind"].to_numpy()
    parts = prepared(made, "individual")[1].splits
    held, first = next((a, b) for a in parts["test"] for b in parts["train"] if kind[a] == kind[b])
    made.arrays[held], made.masks[held] = made.arrays[first], made.masks[first]
    made.samples["kind_id"] = pd.factorize(kind)[0]  # splitting by it would hold whole classes out
    (found,) = (f for f in audit(prepared(made, "individual")[1], None, labels=["kind"]).findings if f.void)
    assert found.sentence.endswith("keep one of each, or give copies one group (data.split.by)")


def test_advice_that_would_link_all_says_so():
    made = source()
    made.samples = made.samples.rename(columns={"group": "individual"}).drop(columns="ring")
    made.samples["nest"] = [f"v{i % 5}" for i in range(36)]
    leak = next(f for f in audit(prepared(made, "individual")[1], None, labels=["kind"]).findings if f.where == "nest")
    assert "data.split.by=[individual,nest] would, but links 100% of the samples into one group" in leak.sentence
    assert "it is" in leak.sentence
