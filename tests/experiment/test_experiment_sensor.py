"""Sensors, whole: windows of recordings of unequal length and irregular times, scored by recording, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from multimodal_lab.config import schema
from multimodal_lab.data.source import DataError
from multimodal_lab.experiment import run
from multimodal_lab.predict import __main__ as command

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared/data/open/uea_timeseries"
LONG = ["experiment=sensor", "data=long_table", "modality=series", "fusion=separate", "data.source.file=long.csv",
        "data.source.pattern='acc_.*'", "label=act", "data.labels=[act]", "log=none", "figures=[]", "train.epochs=6",
        "data.source.windows.length=1.5", "data.source.windows.stride=0.5", "+modality.series.rate=20",
        "evaluate=[head,probe,knn]", "evaluate.head.pool=recording", "evaluate.probe.pool=recording",
        "optim.lr=3e-3", "backbone.widths=[16,16]"]  # fmt: skip


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """24 recordings of 6 subjects: a slow and a fast motion, at irregular times, with a gap in each."""
    folder, draw, parts = tmp_path_factory.mktemp("long"), np.random.default_rng(0), []
    for i in range(24):
        t = np.sort(draw.uniform(0, 4 + i % 3, 160)).round(4)
        t = np.unique(t[(t < 2) | (t > 2.5)])
        x = np.sin(2 * np.pi * (1 if i % 2 else 3) * t + draw.uniform(0, 6)) + draw.normal(0, 0.1, len(t))
        facts = {"recording": f"r{i}", "subject": f"s{i // 4}", "act": ["fast", "slow"][i % 2]}
        parts.append(pd.DataFrame({"time": t, "acc_x": x, "acc_y": draw.normal(size=len(t)), **facts}))
    pd.concat(parts).to_csv(folder / "long.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def trained(composed, tmp_path_factory, recordings):
    """The directory of a run on windows of these, scored by recording."""
    folder = tmp_path_factory.mktemp("trained")
    run.run(composed(*LONG, f"data.root={recordings}", "data.batch_size=32", small=False), folder)
    return folder


def test_windows_of_irregular_recordings_are_learnt_and_scored_by_recording(trained):
    found = json.loads((trained / "summary.json").read_text())
    record = json.loads((trained / "data.json").read_text())
    rows = {split: {name.split("#")[0] for name in ids} for split, ids in record["splits"].items()}
    assert not rows["train"] & rows["test"]
    assert not rows["train"] & rows["val"]
    assert (
        found["head/classifier/act/n"]
        == found["probe/series/act/n"]
        == len(rows["test"])
        < len(record["splits"]["test"])
    )
    assert found["head/classifier/act/accuracy"] >= 0.75
    said = pd.read_parquet(trained / "predictions.parquet")
    assert set(said.id) == rows["test"]
    windows = pd.Series(record["splits"]["test"]).str.split("#").str[0].str[1:].astype(int) % 2
    once = windows[~pd.Series(record["splits"]["test"]).str.split("#").str[0].duplicated()]
    for key, acts in (("chance@head/act", once), ("chance@probe/act", once), ("chance/act", windows)):
        assert found[key] == pytest.approx(max(acts.mean(), 1 - acts.mean())), key
    assert found["chance@head/act"] != found["chance/act"]  # recordings of one act have more windows
    assert record["streams"]["series"]["steps"] == 30  # 1.5 s at 20 Hz


def test_predict_answers_by_recording_as_the_run_was_scored(trained, tmp_path):
    said = command.predict({"out": str(tmp_path / "a.csv")}, trained, [])
    windows = command.predict({"out": str(tmp_path / "b.csv"), "pool": "null"}, trained, [])
    by, rows = pd.read_csv(tmp_path / "a.csv", index_col="id"), pd.read_csv(tmp_path / "b.csv", index_col="id")
    assert said.startswith(f"24 samples from {len(rows)} by ")
    assert windows.startswith(f"{len(rows)} samples by ")
    kept = pd.read_parquet(trained / "predictions.parquet").query("evaluator == 'head'").set_index("id")
    assert by.act[kept.index].tolist() == kept.predicted.tolist()
    means = rows["act/slow"].groupby(rows.index.str.split("#").str[0]).mean()
    np.testing.assert_allclose(by["act/slow"], means[by.index], atol=1e-6)
    with pytest.raises(DataError, match=r"pool=subjct: no such column; .*subject.*pool=null answers row by row"):
        command.predict({"out": str(tmp_path / "a.csv"), "pool": "subjct"}, trained, [])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data.source.windows.length=9"], r"recording r0 has 3\.\d+ seconds, and a window 9"),
        (["~modality.series.rate"], r"some recordings have irregular times; expected one rate .*; modality\.series\.rate="),
        (["evaluate.head.pool=subjects"], r"evaluate\.head\.pool=subjects: no such column; .*subject"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_sentence(composed, tmp_path, recordings, words, said):
    with pytest.raises((DataError, ValueError), match=said):
        run.run(composed(*LONG, f"data.root={recordings}", "train.max_steps=2", *words, small=False), tmp_path)


def test_a_backbone_of_vectors_and_ops_along_time_are_refused_before_training(composed):
    found = " ".join(map(str, schema.check(composed("experiment=sensor", "backbone=vector", small=False))))
    assert "temporal_conv, temporal_transformer" in found
    words = ["experiment=dewlap", "data.root=/x", "augment=series"]
    found = " ".join(map(str, schema.check(composed(*words, small=False))))
    assert "augment.ops.time_crop" in found
    assert "works along time" in found


@pytest.mark.skipif(not REAL.is_dir(), reason="needs uea_timeseries in ../shared/data")
def test_basic_motions_are_told_apart(composed, tmp_path):
    words = ["experiment=sensor", "data=basic_motions", "modality=series", "fusion=separate", f"data.root={REAL}"]
    run.run(composed(*words, "log=none", "figures=[]", small=False), tmp_path)
    assert json.loads((tmp_path / "summary.json").read_text())["head/classifier/action/accuracy"] >= 0.95
