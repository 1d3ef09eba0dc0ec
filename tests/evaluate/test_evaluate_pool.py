"""Windows scored by recording: the mean of what is said, against a slow loop; what can't be pooled."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from multimodal_lab.evaluate import predictions
from multimodal_lab.evaluate.call import call, seen_by
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.head import Head
from multimodal_lab.evaluate.pool import pooled
from multimodal_lab.evaluate.probe import Probe
from multimodal_lab.evaluate.said import Said

RECORDINGS = ["c", "a", "b", "a", "c", "c", "d"]
SAMPLES = pd.DataFrame({"id": [f"w{i}" for i in range(7)], "recording": RECORDINGS})
CLASS = {"a": 0, "b": 1, "c": 1, "d": 0}


def windows(seed=0, wide=3):
    draw = np.random.default_rng(seed)
    y = np.array([CLASS[r] for r in RECORDINGS])
    x = (draw.normal(size=(7, 4)) + 3 * y[:, None]).astype(np.float32)
    rows = np.array([1, 1, 1, 1, 0, 1, 1], bool)
    said = Said("label", draw.normal(size=(7, wide)).astype(np.float32), rows)
    return Embeddings(
        {"s": x}, {"s": rows}, {"label": y}, {"label": ["no", "yes", "unseen"]}, [*SAMPLES.id], np.arange(7), np.full(7, "test"),
        said={"classifier": said},
    )  # fmt: skip


def test_a_recording_is_the_mean_of_its_windows():
    e = windows()
    found = pooled(e, SAMPLES, "recording", "head")
    assert found.ids == ["c", "a", "b", "d"]
    for i, name in enumerate(found.ids):
        own = [j for j, r in enumerate(RECORDINGS) if r == name and e.present["s"][j]]
        np.testing.assert_allclose(found.vectors["s"][i], np.mean([e.vectors["s"][j] for j in own], 0), rtol=1e-6)
        chances = [torch.tensor(e.said["classifier"].values[j]).double().softmax(0).numpy() for j in own]
        np.testing.assert_allclose(np.exp(found.said["classifier"].values[i]), np.mean(chances, 0), rtol=1e-5)
        assert found.targets["label"][i] == CLASS[name]


def test_a_single_logit_stays_one():
    e = windows(wide=1)
    found = pooled(e, SAMPLES, "recording", "head").said["classifier"].values
    assert found.shape == (4, 1)
    chance = 1 / (1 + np.exp(-e.said["classifier"].values[[1, 3], 0].astype(float)))
    assert found[1, 0] == pytest.approx(np.log(chance.mean() / (1 - chance.mean())), rel=1e-5)


def test_evaluators_score_recordings_and_predictions_name_them(tmp_path):
    data = SimpleNamespace(samples=SAMPLES)
    for evaluator in (Head(pool="recording"), Probe(pool="recording")):
        seen = seen_by(evaluator, {"train": windows(1), "test": windows(), "data": data})
        scores = call(evaluator, **seen)
        assert next(v for k, v in scores.items() if k.endswith("/n")) == 4
        kept = [predictions.Predicted(**{**vars(p), "of": seen["test"]}) for p in evaluator.predictions]
        predictions.write(tmp_path / "p.parquet", windows(), kept)
        assert pd.read_parquet(tmp_path / "p.parquet").id.tolist() == ["c", "a", "b", "d"]


def test_a_label_that_differs_within_a_recording_is_refused():
    e = windows()
    e.targets["label"][5] = 0
    with pytest.raises(ValueError, match=r"evaluate\.head\.pool=recording: label label differs within 'c'"):
        pooled(e, SAMPLES, "recording", "head")
    e.targets["label"][5] = -1  # unknown is no other value
    assert pooled(e, SAMPLES, "recording", "head").targets["label"].tolist() == [1, 0, 1, 0]


def test_a_column_that_is_not_there_is_told_with_the_nearest():
    with pytest.raises(ValueError, match=r"evaluate\.probe\.pool=recordings: no such column; .*recording"):
        pooled(windows(), SAMPLES, "recordings", "probe")


def test_the_rows_by_themselves_are_scored_beside():
    e = windows()
    said = e.said["classifier"]
    right = [said.values[i].argmax() == CLASS[r] for i, r in enumerate(RECORDINGS) if said.rows[i]]
    scores = call(
        Head(pool="recording"), **seen_by(Head(pool="recording"), {"test": e, "data": SimpleNamespace(samples=SAMPLES)})
    )
    assert scores["head/classifier/label/accuracy_unpooled"] == pytest.approx(np.mean(right))
    assert 0 < np.mean(right) < 1
    assert "head/classifier/label/accuracy_unpooled" not in call(Head(), test=e)
