"""Data that are clean are told clean, the embedded and the published ones; what is known of the rest is found."""

from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from planted import Case

from multimodal_lab.config.instantiate import conf_dir, safe_instantiate
from multimodal_lab.data.audit.audit import audit, repeats
from multimodal_lab.data.audit.column_names import is_how, is_identity
from multimodal_lab.data.audit.spelling import stem
from multimodal_lab.data.split.split import Split

SHARED = Path(__file__).parents[4] / "shared" / "data"
SPLIT = ["data.split.column=null", "data.split.stratify=habitat", "data.split.test=0.3", "data.split.train=0.6"]
LITTLE = "+data.source.where.locale=Little Harbour"


def looked(*words, splits=None):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("config", [*words])
    factory = safe_instantiate(cfg.data)
    data = factory.prepare(OmegaConf.to_container(cfg.modality, resolve=True), 0)
    return audit(data, repeats(factory, data, splits) if splits else None)


def shared(folder):
    if not (SHARED / folder).is_dir():
        pytest.skip(f"no {folder} in {SHARED}")
    return f"data.root={SHARED / folder}"


@pytest.mark.parametrize(
    "words",
    [
        ["data=specimens", "modality=rgb_uv", "data.source.individuals=128", "data.source.size=32"],
        ["data=specimens", "modality=rgb_uv", "data.source.individuals=128", "data.source.size=24",
         "data.source.missing=0.2", "data.source.noise=0"],
        pytest.param(
            ["data=trifeature", "modality=tri_1_tri_2", "data.source.train=300", "data.source.test=200", "data.source.size=32",
         "data.source.side=22", "data.source.period=8.0", "data.source.matches=5"],
            marks=pytest.mark.slow,
        ),
    ],
    ids=["specimens", "specimens with gaps", "trifeature"],
)  # fmt: skip
def test_nothing_voids_the_embedded_data(words):
    found = looked(*words)
    assert not found.void, found.void
    assert not [f for f in found.findings if f.kind in ("exact duplicate", "contradiction", "id")]
    alike = [f.count for f in found.findings if f.kind == "near duplicate"]
    assert sum(alike) <= (
        60 if "data=trifeature" in words else 0
    )  # drawings of one shape: 1 in 1,000 of 300 x 200 pairs


def test_habitat_goes_with_locale_on_abaco_but_not_within_little_harbour():
    root = shared("open/dewlap_spectra")
    words = ["experiment=dewlap", root, "data.labels=[habitat]", *SPLIT]
    found = looked(*words, "+data.source.where.island=Abaco", splits=[0, 1, 2])
    (void,) = found.void
    assert (void.kind, void.where, void.label) == ("confounded label", "habitat × locale", "habitat")
    assert "28% of samples have a locale with one habitat only" in void.sentence  # 18 + 6 of 86
    assert "such as Little Harbour (53 samples)" in void.sentence
    assert "(in split" not in void.sentence  # in all three
    within = looked(*words, "+data.source.where.island=Abaco", LITTLE)
    assert (within.samples, within.findings) == (53, [])


def test_what_is_found_in_some_splits_is_told_once_with_their_names():
    case = Case()
    table = case.table
    other = Split(by="individual", stratify="kind", train=0.5, val=0.2, test=0.3, seed=1).assign(table)
    case.source.cubes[case.first("test")] = case.source.cubes[case.first("train")]
    a, b = case.first("test"), case.first("train")
    home = {n: [a in rows, b in rows] for n, rows in other.items()}
    rows = {"split 0": case.parts, "split 1": {n: np.setdiff1d(r, [a, b]) for n, r in other.items()}}
    assert sum(map(sum, home.values())) == 2
    found = audit(case.prepare(), rows)
    assert [f.kind for f in found.findings] == ["exact duplicate"]
    assert found.findings[0].sentence.endswith("(in split 0)")
    assert found.splits == ["split 0", "split 1"]


def test_repeats_are_the_splits_that_preparing_gives():
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        words = ["data.source.individuals=256", "data.source.size=16", "modality=uv"]
        configs = [compose("config", [*words, f"data.split.seed={s}"]) for s in (0, 4)]
    modality = OmegaConf.to_container(configs[0].modality, resolve=True)
    first, second = (safe_instantiate(c.data) for c in configs)
    ours = repeats(first, first.prepare(modality, 0), [4])["split 4"]
    theirs = second.prepare(modality, 0).splits
    assert {n: r.tolist() for n, r in ours.items()} == {n: r.tolist() for n, r in theirs.items()}


@pytest.mark.parametrize(
    ("column", "how", "who"),
    [("locale", True, False), ("site_id", True, False), ("Camera", True, False), ("collection date", True, False),
     ("subject", False, True), ("specimen_no", False, True), ("birdRing", False, True), ("species", False, False),
     ("locality type", False, False), ("bird species", False, False), ("habitat", False, False), ("batch", True, False)],
)  # fmt: skip
def test_the_names_of_columns(column, how, who):
    assert (is_how(column), is_identity(column)) == (how, who)


@pytest.mark.parametrize(
    ("a", "b", "alike"),
    [("bird_12_left", "bird 12 right", True), ("IMG01.tif", "img01.png", True), ("x_copy", "x", True),
     ("x (2)", "X", True), ("bird_12", "bird_13", False), ("left", "right", False)],
)  # fmt: skip
def test_the_names_of_samples(a, b, alike):
    assert (stem(a) == stem(b)) is alike
