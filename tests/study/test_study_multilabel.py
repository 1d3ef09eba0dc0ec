"""Several 0/1 labels in a study: one measure for every score, for chance and for what nothing scores."""

import json

import numpy as np
import pytest

from multimodal_lab.config import study
from multimodal_lab.evaluate import predictions
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.probe import Probe
from multimodal_lab.files import file_hash
from multimodal_lab.report.study.sections import build_report
from multimodal_lab.runs import hashes
from multimodal_lab.study.analysis import judge, results
from multimodal_lab.study.design import plan
from multimodal_lab.study.design.plan import Cell, StudyPlan
from multimodal_lab.study.launch import status
from multimodal_lab.study.ledger import outcomes

LABELS = 10
STREAMS = {"rgb": ["rgb"], "uv": ["uv"], "fused": ["fused"], "drop": ["fused@rgb", "fused@uv", "fused"]}


@pytest.fixture
def blind(tmp_path):
    """A study of vectors that say nothing, of labels that are rarely 1, read by the probe itself."""
    named = study.Study(
        {arm: [f"modality={arm}"] for arm in STREAMS}, ["rgb", "uv"], ["tags"], {}, seeds=[0, 1, 2], subsets="drop"
    )
    cells = [Cell(arm, named.role(arm), s, 0, f"{arm}{s}".ljust(16, "0"), []) for s in named.seeds for arm in STREAMS]
    for cell in cells:
        probe, parts = Probe(), [part(cell, name, 400) for name in ("train", "test")]
        summary = probe(*parts)
        own = tmp_path / cell.folder
        own.mkdir()
        predictions.write(own / "predictions.parquet", parts[1], probe.predictions)
        summary |= {hashes.OF_CONFIG: cell.key, hashes.OF_SOURCE: "a", hashes.OF_DATA: "d", "data/test": 400}
        summary |= {"data/train": 400, hashes.OF_PREDICTIONS: file_hash(own / hashes.PREDICTIONS)}
        (own / hashes.SUMMARY).write_text(json.dumps(summary))
    plan.write(tmp_path, StudyPlan(named, cells, ["study=made"], []))
    return tmp_path


def part(cell, name, n):
    truth = np.random.default_rng(["train", "test"].index(name)).random((n, LABELS)) < np.linspace(0.02, 0.7, LABELS)
    draw = np.random.default_rng([cell.seed, n, *map(ord, cell.arm + name)])
    vectors = {s: draw.standard_normal((n, 4)).astype(np.float32) for s in STREAMS[cell.arm]}
    there = {s: np.ones(n, bool) for s in vectors}
    classes = {"tags": [f"t{i}" for i in range(LABELS)]}
    ids = [f"{name}{i:03d}" for i in range(n)]
    return Embeddings(vectors, there, {"tags": truth.astype(int)}, classes, ids, np.arange(n) // 4, np.full(n, name))


def test_a_reader_that_knows_nothing_has_nothing_to_share(blind):
    found = outcomes.load(blind)
    made = results.record(found, judge.judge(found))
    own, label = made["subsets"]["tags"], made["labels"]["tags"]
    assert own["metric"] == label["metric"] == "share of labels right"
    assert own["empty"] == pytest.approx(label["chance"])
    assert own["empty"] > 0.7
    assert abs(sum(v["mean"] for v in own["shapley"].values())) < 0.01
    assert all(abs(v["mean"] - label["chance"]) < 0.01 for v in own["scores"].values())
    entry = found.finished[0]
    assert status.score(entry, "tags") == pytest.approx(label["arms"][entry.cell.arm]["runs"][0][0])
    assert entry.summary["chance/tags"] < 0.5  # the run's own table keeps average precision and its chance
    text = str(build_report(made, {}, found.folder / "gallery"))
    assert "share of labels right, chance" in text
    assert "share of labels right of nothing (the prior)" in text


def test_without_what_nothing_scores_nothing_is_shared(blind):
    """Cells of an older source, whose only chance is that of average precision."""
    for path in blind.glob("*/" + hashes.SUMMARY):
        summary = json.loads(path.read_text())
        path.write_text(json.dumps({k: v for k, v in summary.items() if not k.startswith("chance_majority")}))
    found = outcomes.load(blind)
    made = results.record(found, judge.judge(found))
    assert made["subsets"] is None
    assert made["labels"]["tags"]["chance"] is None
