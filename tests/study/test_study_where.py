"""Where does it add: classes, columns and single samples of studies whose truth was put in."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from made import LEVELS, PER_GROUP, study
from PIL import Image

from multimodal_lab.evaluate import parquet
from multimodal_lab.report.study import write
from multimodal_lab.stats.acquisition import Acquisition
from multimodal_lab.stats.score import ACCURACY
from multimodal_lab.stats.verdict import Verdict
from multimodal_lab.study.analysis import acquire, judge, modalities, results, sentence
from multimodal_lab.study.launch.conclude import conclude
from multimodal_lab.study.ledger import outcomes

GAINS = {**LEVELS, "rgb": 0.6, "uv": 0.5, "fused": lambda truth: np.where(truth == 1, 0.97, 0.2)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Fusion gains on class m and loses on f; sites and pictures stand beside the embeddings of the single modalities."""
    folder = study(tmp_path_factory.mktemp("where") / "mine", levels=GAINS, by=["sex", "site", "none"])
    ids = [f"s{i:03d}" for i in range(800)]
    site = np.arange(800) // PER_GROUP % 3 - 1  # -1: not known
    rows = parquet.EmbeddingRows(
        np.ones((800, 2), np.float32), np.ones(800, bool), {"site": site}, {"site": ["north", "south"]}, ids,
        np.zeros(800, np.int64), np.full(800, "test"), ["x"],
    )  # fmt: skip
    for cell in (*folder.glob("rgb-s*"), *folder.glob("uv-s*")):
        (cell / "embeddings").mkdir()
        pq.write_table(parquet.table(rows), cell / "embeddings" / "x.parquet")
        shade = np.full((800, 8, 8, 3), 200 if cell.name.startswith("uv") else 50, np.uint8)
        np.savez(cell / "thumbnails.npz", rows=np.arange(800), x=shade)
    return folder


@pytest.fixture(scope="module")
def made(folder):
    conclude(folder)
    return json.loads((folder / "study.json").read_text())


def test_the_class_that_gains_is_found_and_the_one_that_loses(made):
    first, site, second, _ = made["labels"]["sex"]["where"]
    assert [(r["name"], r["found"]) for r in first["rows"]] == [("f", "loses"), ("m", "gains")]
    assert all(r["q"] >= r["p"] for r in first["rows"])
    assert first["sentence"].startswith("uv added to rgb, by sex: 1 of 2 gain (m); 1 of 2 lose (f) (on the whole: ")
    assert (second["over"], second["added"]) == ("uv", ["rgb"])
    assert [r["name"] for r in site["rows"]] == ["north", "south"]  # what has no site is in neither
    assert any("no finished cell keeps the column none" in said for said in made["warnings"])


def test_samples_that_fusion_alone_tells_are_counted_and_have_their_pictures(folder, made):
    only = made["labels"]["sex"]["only_fusion"]
    assert {s["truth"] for s in only["samples"][:10]} == {"m"}
    right = {a: np.nanmean(s, axis=(0, 1)) for a, s in outcomes.load(folder).scores("sex").each.items()}
    alone = {a: sum(x > 0.5 > max(y, z) for x, y, z in zip(right[a], right["rgb"], right["uv"])) for a in right}
    assert (only["count"], only["n"]) == (alone["fused"], 400)
    assert only["by_chance"] == {a: alone[a] for a in ("shuffled", "duplicate")}
    assert all(s["right"]["fused"] > 0.5 > max(s["right"]["rgb"], s["right"]["uv"]) for s in only["samples"])
    picture = Image.open(folder / "gallery" / only["samples"][0]["picture"])
    assert picture.size == (18, 8)
    assert (picture.getpixel((0, 0)), picture.getpixel((17, 7))) == ((50, 50, 50), (200, 200, 200))
    assert (folder / "report.html").read_text().count("data:image/png;base64,") == len(only["samples"])
    assert f"gallery/{only['samples'][0]['picture']}" in (folder / "report.md").read_text()


def test_a_picture_is_looked_for_in_the_gallery_alone(folder, made, tmp_path):
    bad = json.loads(json.dumps(made))
    bad["labels"]["sex"]["only_fusion"]["samples"][0]["picture"] = "../../report.html"
    (tmp_path / "study.json").write_text(json.dumps(bad))
    write(tmp_path)
    assert "data:image/png" not in (tmp_path / "report.html").read_text()


def test_the_doubt_is_what_was_left_of_the_answer(folder, made):
    found = outcomes.load(folder)
    scores = found.scores("sex")
    own = found.outcome(found.finished[0], "sex", "rgb")
    told = acquire.doubt(found, scores, "rgb")
    assert np.allclose(told[0, 0, np.searchsorted(scores.ids, own.ids)], 1 - own.outputs.max(1))
    assert acquire.confidence(replace(own, outputs=None)) is None
    curves = made["labels"]["sex"]["acquire"]
    assert [(c["over"], c["added"]) for c in curves] == [("rgb", ["uv"]), ("uv", ["rgb"])]
    assert curves[0]["curve"][-1]["doubt"] == pytest.approx(made["labels"]["sex"]["arms"]["fused"]["mean"])


def test_the_sentence_of_a_share_says_what_is_shown_and_no_more(tmp_path):
    found = outcomes.load(study(tmp_path))
    (answer,) = judge.judge(found)
    d = sentence.lead(answer, modalities.modalities(found), sentence.Unit(ACCURACY, 0.5)).directions[0]
    loss = replace(d.judged.of.gain, mean=0.008, low=0.001, high=0.015)
    told = acquire._sentence(d, Acquisition(0.35, [0.35] * 5, loss, 0.203, 0.02, True))
    assert told == (
        "uv for the 35 % of samples of which rgb is least sure loses 0.8 points (0.1 to 1.5) of what uv for all of them gives, "
        "which is shown to be less than 2 points; for any 35 % it would lose 20.3"
    )
    unsure = acquire._sentence(d, Acquisition(0.35, [0.35] * 5, loss, 0.203, 0.02, False))
    assert unsure.startswith("uv for fewer than all samples is not shown to lose less than 2 points")
    same = replace(d, judged=replace(d.judged, verdict=Verdict("redundant", "")))
    assert "need be measured for no sample" in acquire._sentence(same, Acquisition(0.35, [], loss, 0.2, 0.02, True))


def test_a_study_without_classes_or_comparison_tells_nothing_of_where(tmp_path):
    found = outcomes.load(study(tmp_path, skip=("uv",)))
    own = results.record(found, judge.judge(found))["labels"]["sex"]
    assert (own["where"], own["only_fusion"], own["acquire"]) == ([], None, [])
