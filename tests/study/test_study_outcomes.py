"""Predictions of many cells as arrays, against slow loops over what was written."""

import json

import numpy as np
import pandas as pd
import pytest

from multimodal_lab.config import study as facts
from multimodal_lab.config.problem import StudyError
from multimodal_lab.evaluate import predictions
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.predictions import Predicted
from multimodal_lab.files import file_hash
from multimodal_lab.runs import hashes
from multimodal_lab.study.analysis import results
from multimodal_lab.study.design import plan
from multimodal_lab.study.design.plan import Cell, StudyPlan
from multimodal_lab.study.ledger import outcomes

ARMS = {"rgb": ["modality=rgb"], "uv": ["modality=uv"], "concat": ["fusion=concat"]}
STREAM = {"rgb": "rgb", "uv": "uv", "concat": "fused"}
SEEDS, SPLITS, N = [0, 1, 4], [0, 2], 30


def held_out(split):
    return np.random.default_rng(split).permutation(N)[:12]


def write_cell(folder, made, lack=()):
    """A finished cell; `lack`: samples without UV, which only the arm uv needs."""
    rng = np.random.default_rng([made.seed, made.split, len(made.arm)])
    rows = held_out(made.split)
    truth = np.arange(N)[rows] % 2
    test = Embeddings({}, {}, {}, {"sex": ["f", "m"]}, [f"s{i:02d}" for i in rows], rows // 2, np.full(12, "test"))
    kept = np.flatnonzero(~np.isin(rows, lack)) if made.arm == "uv" else np.arange(12)
    score = rng.integers(0, 2, len(kept))
    said = np.where(score, truth[kept], 1 - truth[kept])
    own = folder / made.folder
    own.mkdir(parents=True)
    streams = ["rgb", "uv", "fused"] if made.arm == "concat" else [made.arm]
    chance = np.full(len(kept), 0.5)
    found = [Predicted("probe", s, "sex", kept, truth[kept], said, chance, score) for s in streams]
    predictions.write(own / "predictions.parquet", test, found)
    seal = {hashes.OF_CONFIG: made.key, hashes.OF_SOURCE: "a", hashes.OF_DATA: "d", "data/test": 12, "data/train": 18}
    seal[hashes.OF_PREDICTIONS] = file_hash(own / hashes.PREDICTIONS)
    seal |= {f"probe/{s}/sex/n": float(len(kept)) for s in streams}
    seal |= {f"probe/{s}/sex/n_missing": 12.0 - len(kept) for s in streams}
    (own / hashes.SUMMARY).write_text(json.dumps(seal))
    return {f"s{rows[k]:02d}": int(v) for k, v in zip(kept, score, strict=True)}


@pytest.fixture
def study(tmp_path):
    """A function of (cells left out, samples without UV) to the loaded study and what was written of each cell."""

    def make(skip=lambda cell: False, lack=()):
        named = facts.Study(ARMS, ["rgb", "uv"], ["sex"], seeds=SEEDS, splits=SPLITS)
        cells = [
            Cell(arm, named.role(arm), s, r, f"{arm}{s}{r}".ljust(16, "0"), [])
            for r in SPLITS
            for s in SEEDS
            for arm in ARMS
        ]
        written = {(c.arm, c.seed, c.split): write_cell(tmp_path, c, lack) for c in cells if not skip(c)}
        plan.write(tmp_path, StudyPlan(named, cells, [], []))
        return outcomes.load(tmp_path), written

    return make


def test_every_number_is_that_of_its_cell_and_sample(study):
    found, written = study()
    scores = found.scores("sex")
    assert (scores.seeds, scores.splits, scores.stream, scores.left_out) == (SEEDS, SPLITS, STREAM, [0, 0])
    assert scores.ids.tolist() == sorted({i for own in written.values() for i in own})
    for arm in ARMS:
        for i, seed in enumerate(SEEDS):
            for j, split in enumerate(SPLITS):
                own = written[arm, seed, split]
                for k, name in enumerate(scores.ids):
                    value = scores.score[arm][i, j, k]
                    assert value == own[name] if name in own else np.isnan(value)
    assert scores.groups.tolist() == [int(n[1:]) // 2 for n in scores.ids]
    assert scores.truth.tolist() == ["fm"[int(n[1:]) % 2] for n in scores.ids]
    assert found.test_per_train == 12 / 18
    assert found.streams("concat", "sex") == ["rgb", "uv", "fused"]


def test_samples_that_some_arm_lacks_are_left_out_of_all_and_counted(study):
    lack = held_out(0)[:3]
    found, _ = study(lack=lack)
    scores = found.scores("sex")
    gone = [int(np.isin(held_out(r), lack).sum()) for r in SPLITS]
    assert scores.left_out == gone
    assert found.invalid == []
    tested = [(~np.isnan(scores.score[a])).sum(2) for a in ARMS]
    assert all((t == [[12 - gone[0], 12 - gone[1]]] * 3).all() for t in tested)
    assert found.scores("sex", ["rgb", "concat"]).left_out == [0, 0]


def test_only_seeds_that_every_arm_has_finished_are_compared(study):
    found, _ = study(skip=lambda c: (c.arm, c.seed, c.split) == ("uv", 1, 2))
    assert len(found.unfinished) == 1
    assert found.scores("sex").seeds == [0, 4]
    assert found.scores("sex", ["rgb", "concat"]).seeds == SEEDS
    other = found.scores("sex", ["concat"], {"concat": "uv"})
    assert other.stream == {"concat": "uv"}


def test_nothing_in_common_is_one_sentence(study):
    found, _ = study(skip=lambda c: c.arm == "uv" or c.split == 2 or c.seed != (0 if c.arm == "rgb" else 1))
    assert found.scores("sex", ["rgb"]).seeds == [0]
    with pytest.raises(StudyError, match="no seed has been finished by all of rgb, concat"):
        found.scores("sex")
    with pytest.raises(StudyError, match="size: no seed"):
        found.scores("size")


def forge(folder, change=lambda table: table, **facts):
    """Give a finished cell another table and other facts, sealed as if a run had written them."""
    table = change(pd.read_parquet(folder / hashes.PREDICTIONS).astype({"truth": str, "label": str}))
    table.to_parquet(folder / hashes.PREDICTIONS)
    summary = json.loads((folder / hashes.SUMMARY).read_text()) | facts
    summary[hashes.OF_PREDICTIONS] = file_hash(folder / hashes.PREDICTIONS)
    (folder / hashes.SUMMARY).write_text(json.dumps(summary))


def cells(found, **facts):
    return [e.folder for e in found.entries if all(getattr(e.cell, k) == v for k, v in facts.items())]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.assign(id=[*("x" + t.id[:5]), *t.id[5:]]), "(sex): 10 differ between {0} and uv-s0-p0"),
        (lambda t: t[3:], "(sex): 3 differ between {0} and uv-s0-p0"),
        (lambda t: t.assign(group=t.group + (t.index < 4)), "4 samples of split 0 (sex) have another group in {0} than in"),
        (lambda t: t.assign(truth="f"), "6 samples of split 0 (sex) have another truth in {0} than in"),
    ],
)  # fmt: skip
def test_a_cell_of_other_samples_groups_or_truth_is_invalid(study, change, says):
    found, _ = study()
    assert found.invalid == []
    (own,) = cells(found, arm="uv", seed=1, split=0)
    forge(own, change)
    (said,) = outcomes.load(found.folder).invalid
    truths = (pd.read_parquet(own / hashes.PREDICTIONS).id.str[-2:].astype(int) % 2).sum()
    assert says.format(own.name).replace("6 samples", f"{truths} samples") in said


def test_an_arm_that_lacks_samples_must_lack_the_same_with_every_seed(study):
    lack = held_out(0)[:3]
    found, _ = study(lack=lack)
    (own,) = cells(found, arm="uv", seed=1, split=0)
    forge(own, lambda t: t.assign(id=[f"s{lack[0]:02d}", *t.id[1:]]))
    said = outcomes.load(found.folder).invalid[0]
    assert f"2 differ between {own.name} and uv-s0-p0" in said


def test_other_samples_under_the_same_count_of_missing_ones_are_too_many(study):
    found, _ = study(lack=held_out(0)[:3])
    for own in cells(found, arm="uv", split=0):
        forge(own, lambda t: t.assign(id=["x", *t.id[1:]]))
    (said,) = outcomes.load(found.folder).invalid
    assert "of split 0 (sex)" in said


def test_no_sample_in_common_is_invalid_and_one_sentence(study):
    found, _ = study()
    for own in cells(found, arm="uv", split=0):
        forge(own, lambda t: t.assign(id="x" + t.id))
    found = outcomes.load(found.folder)
    (said,) = found.invalid
    assert "24 differ between uv-s0-p0" in said
    assert said.endswith("and in 2 more cells")
    with pytest.raises(StudyError, match="sex: no sample of split 0 was judged in every cell of rgb, uv, concat"):
        found.scores("sex")


def test_a_split_or_seed_without_the_label_is_told(study):
    found, _ = study()
    assert found.warnings == []
    for own in cells(found, split=2):
        forge(own, lambda t: t.assign(label="other"))
    found = outcomes.load(found.folder)
    assert found.warnings == ["sex: split 2 was judged by no arm and is left out"]
    assert found.scores("sex").splits == [0]
    (own,) = cells(found, arm="uv", seed=1, split=0)
    forge(own, lambda t: t.assign(label="other"))
    found = outcomes.load(found.folder)
    assert f"sex: no sample was judged in {own.name}; seeds that lack a cell are left out" in found.warnings
    assert found.scores("sex").seeds == [0, 4]


def test_cells_of_other_versions_or_devices_are_told(study):
    found, _ = study()
    for i, own in enumerate(cells(found)):
        device = "NVIDIA H100" if i == 3 else f"cpu, {i % 2 + 1} threads"
        forge(own, **{"provenance/torch": "2.14" if i == 1 else "2.15", "provenance/device": device})
    found = outcomes.load(found.folder)
    assert found.warnings == [
        "cells were trained with torch 2.14 and 2.15",
        "cells were trained on NVIDIA H100 and cpu",
    ]
    assert found.invalid == []
    made = results.record(found, [])
    assert made["versions"]["torch"] == "2.14 and 2.15"
    assert made["warnings"][:2] == found.warnings
