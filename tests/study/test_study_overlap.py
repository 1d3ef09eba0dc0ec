"""What a study tells of its spaces: measures, and how a label's information is divided, whatever else varies most."""

import math

import numpy as np
import pytest
import yaml
from made import study

from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.stats.pid import estimate
from multimodal_lab.study.analysis import judge, overlap, results, shared_space
from multimodal_lab.study.ledger import outcomes


def space(signal, n=1200):
    """Eight far clusters of no meaning, and a label that one small direction tells (or doesn't)."""
    draw = np.random.default_rng([n, signal])
    label = np.random.default_rng(0).integers(0, 2, n)
    x = draw.normal(size=(8, 12))[draw.integers(0, 8, n)] * 10 + draw.normal(size=(n, 12))
    x[:, 0] = (2 * label - 1) * signal + 0.3 * draw.normal(size=n)
    whole, split = np.ones(n, bool), np.where(np.arange(n) < n // 2, "train", "test")
    return Embeddings({"x": x}, {"x": whole}, {"sex": label}, {"sex": ["f", "m"]}, [f"{i:04d}" for i in range(n)],
                      np.arange(n), split)  # fmt: skip


@pytest.mark.parametrize(("signals", "part"), [((1, 0), "unique1"), ((0, 1), "unique2"), ((1, 1), "redundant")])
def test_codes_keep_the_label_whatever_else_varies(signals, part):
    spaces = [space(s) for s in signals]
    first, second = (overlap._codes(e.select("train"), e.select("test"), "sex") for e in spaces)
    found = estimate(first, second, spaces[0].select("test").targets["sex"])
    assert getattr(found, part) > 0.8
    assert getattr(found, part) > 0.8 * found.total


def test_a_measure_needs_four_groups():
    assert not overlap._enough(np.repeat([0, 1, 2], 50))
    assert overlap._enough(np.repeat([0, 1, 2, 3], 2))


CLIP = {
    "_target_": "multimodal_lab.keyed.Keyed",
    "fn": {"_target_": "multimodal_lab.loss.clip.clip"},
    "z": "out.projection",
}


def term(file, **more):
    fn = {"_target_": f"multimodal_lab.loss.{file}.{file}"}
    if "between" in more:
        fn["between"] = more.pop("between")
    return {**CLIP, "fn": fn, **more}


def configured(folder, *terms):
    tree = {"modality": {"rgb": {}, "uv": {}, "name": {"role": "target"}}, "loss": terms[0]}
    tree["losses"] = {f"more{i}": t for i, t in enumerate(terms[1:])}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(tree))


def keep(folder, names, projected=(), split="test", groups=40, train="train"):
    """Embeddings of 4 samples a group, made of one hidden space that all names see."""
    n = 4 * groups
    hidden = np.random.default_rng(0).normal(size=(groups, 5)).repeat(4, 0)
    seen = {name: hidden + 0.3 * np.random.default_rng([*map(ord, name)]).normal(size=(n, 5)) for name in names}
    label, parts = np.arange(groups).repeat(4) % 2, np.where(np.arange(n) % 4 < 2, train, split)
    Embeddings(
        {k: v.astype(np.float32) for k, v in seen.items()}, {k: np.ones(n, bool) for k in names}, {"sex": label},
        {"sex": ["f", "m"]}, [f"{i:04d}" for i in range(n)], np.arange(groups).repeat(4), parts,
        {k: seen[k].astype(np.float32) for k in projected},
    ).save(folder / "embeddings")  # fmt: skip


@pytest.fixture
def found(tmp_path):
    whole = outcomes.load(study(tmp_path / "mine", seeds=(0,)))
    own = {e.cell.arm: e.folder for e in whole.finished}
    keep(own["rgb"], ["rgb"])
    keep(own["uv"], ["uv"])
    keep(own["fused"], ["rgb", "uv", "fused"], ["rgb", "uv", "fused"])
    keep(own["shuffled"], ["rgb", "uv"], ["rgb", "uv"])
    configured(own["shuffled"], CLIP)
    return whole, own


def test_gap_and_alignment_are_those_of_a_fused_arm_with_one_space_and_uniformity_is_of_each(found):
    whole, own = found
    configured(own["fused"], CLIP)
    told = overlap.alike(whole)
    names = {m["name"]: m for m in told["measures"] if len(m["between"]) == 2}
    assert len(names) == 9
    assert {"modality gap in fused", "alignment in fused", "mutual k-NN", "RSA (Mantel)"} < set(names)
    assert names["alignment in fused"]["p"] == names["linear CKA (debiased)"]["p"] == 0.01
    assert [(m["name"], m["between"], math.isnan(m["p"])) for m in told["measures"] if len(m["between"]) == 1] == [
        ("uniformity", ["rgb"], True),
        ("uniformity", ["uv"], True),
    ]
    without = [m["name"] for m in told["measures"] if not m["low"] <= m["value"] <= m["high"]]
    assert without == ["CCA (held out)", "SVCCA (held out)", "PWCCA (held out)"]
    assert told["notes"] == []
    assert results.record(whole, judge.judge(whole))["overlap"]["measures"][0]["null"] is None


@pytest.mark.parametrize("config", [None, term("simclr"), term("cross_modal", cross_weight=0), term("clip", weight=0)])
def test_without_one_space_neither_is_told_and_that_is_said(found, config):
    whole, own = found
    if config:
        configured(own["fused"], config)
    told = overlap.alike(whole)
    assert not [m for m in told["measures"] if "fused" in m["name"]]
    assert told["notes"] == [overlap.APART]


def test_without_training_samples_no_information_is_divided_and_that_is_said(found):
    whole, own = found
    configured(own["fused"], CLIP)
    assert overlap.alike(whole)["information"]["sex"]
    for arm in ("rgb", "uv"):
        keep(own[arm], [arm], train="test")
    told = overlap.alike(whole)
    assert told["information"] == {}
    assert told["notes"] == [overlap.UNTAUGHT]
    assert {m["name"] for m in told["measures"]} >= {"mutual k-NN", "uniformity"}


def test_few_groups_have_no_chance_level_and_that_is_said(found):
    whole, own = found
    for arm in ("rgb", "uv"):
        keep(own[arm], [arm], groups=6)
    told = overlap.alike(whole)
    assert told["notes"][0].startswith("rgb and uv: 6 groups, expected 7 or more")
    assert all(math.isnan(m["p"]) for m in told["measures"])


@pytest.mark.parametrize(
    ("terms", "joins"),
    [
        ([CLIP], True), ([term("siglip")], True), ([term("triplet")], True), ([term("simclr"), CLIP], True),
        ([term("cross_modal", cross_weight={"_target_": "x.Linear"})], True), ([term("vicreg", between="both")], True),
        ([term("vicreg", between="views")], False), ([term("barlow_twins", between="modalities")], True),
        ([term("supcon")], False), ([{**CLIP, "z": "features"}], False), (["text"], False),
    ],
)  # fmt: skip
def test_which_losses_make_one_space(tmp_path, terms, joins):
    configured(tmp_path, *terms)
    assert shared_space.joined(tmp_path) == (["rgb", "uv"] if joins else [])
