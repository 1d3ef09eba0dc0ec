"""What was predicted, sample by sample, against slow loops and the scores that the evaluator gives."""

import math

import numpy as np
import pandas as pd
import pytest
from test_evaluate_evaluators import made

from multimodal_lab.evaluate import predictions
from multimodal_lab.evaluate.predictions import Predicted
from multimodal_lab.evaluate.probe import Probe


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    train, test = made()
    probe = Probe()
    scores = probe(train, test)
    folder = tmp_path_factory.mktemp("said")
    predictions.write(folder / "predictions.parquet", test, probe.predictions)
    return pd.read_parquet(folder / "predictions.parquet"), scores, test


def test_the_mean_of_what_is_written_is_the_score(written):
    table, scores, _ = written
    means = table.groupby(["stream", "label"], observed=True).score.mean()
    for (stream, label), mean in means.items():
        key = f"probe/{stream}/{label}"
        (score,) = (scores[k] for what in ("accuracy", "accuracy_micro", "r2") if (k := f"{key}/{what}") in scores)
        assert mean == pytest.approx(score, abs=1e-5), key
        assert scores[f"{key}/n"] == len(table.query("stream == @stream and label == @label"))
    assert {label for _, label in means.index} == {"species", "sex", "coin", "traits", "mass"}


def test_rows_are_those_of_the_samples_that_were_judged(written):
    table, _, test = written
    place = {name: i for i, name in enumerate(test.ids)}
    for (stream, label), part in table.groupby(["stream", "label"], observed=True):
        rows = [place[i] for i in part.id]
        assert len(set(rows)) == len(rows)
        assert test.present[stream][rows].all()
        assert part.group.tolist() == test.groups[rows].tolist()
        if label in ("species", "sex", "coin"):
            assert [int(v) for v in part.truth] == test.targets[label][rows].tolist()
            assert ((part.truth.astype(str) == part.predicted.astype(str)) == (part.score == 1)).all()
            assert (part.probability[part.score == 1] >= 1 / len({*test.targets[label][rows]}) - 1e-6).all()


def test_of_classes_gives_the_chance_of_the_truth_and_none_to_an_unseen_class():
    chances = np.array([[0.7, 0.3], [0.2, 0.8], [0.5, 0.5]])
    said = predictions.of_classes(np.array([1, 4, 2]), np.array([1, 4, 4]), np.array([1, 4]), chances)
    assert said["probability"].tolist() == [0.7, 0.8, 0.0]
    assert said["score"].tolist() == [True, True, False]


def test_of_labels_and_values_against_slow_loops():
    rng = np.random.default_rng(0)
    truth, chances = rng.integers(0, 2, (6, 3)), rng.random((6, 3))
    said = predictions.of_labels(truth, chances)
    for i in range(6):
        own = [c if t else 1 - c for t, c in zip(truth[i], chances[i], strict=True)]
        assert said["probability"][i] == pytest.approx(math.prod(own))
        assert said["score"][i] == pytest.approx(
            sum((c > 0.5) == t for t, c in zip(truth[i], chances[i], strict=True)) / 3
        )
    y, z = rng.normal(size=9), rng.normal(size=9)
    r2 = 1 - sum((a - b) ** 2 for a, b in zip(y, z, strict=True)) / sum((a - y.mean()) ** 2 for a in y)
    assert predictions.of_values(y, z)["score"].mean() == pytest.approx(r2)


def test_names_numbers_and_nothing_are_written_as_words(tmp_path):
    _, test = made(12)
    test.classes.update(species=list("abcd"), traits=["x", "y", "z"])
    rows, nan = np.array([0, 2]), np.full(2, np.nan)
    found = [
        Predicted("probe", "rgb", "species", rows, np.array([3, 0]), np.array([1, 0]), nan, np.array([0, 1])),
        Predicted("probe", "rgb", "traits", rows, np.array([[1, 0, 1], [0, 0, 0]]), np.zeros((2, 3), int), nan, nan),
        Predicted("probe", "rgb", "mass", rows, np.array([0.5, 2.0]), np.array([[1.5], [2]]), nan, nan),
    ]
    predictions.write(tmp_path / "predictions.parquet", test, found)
    table = pd.read_parquet(tmp_path / "predictions.parquet")
    assert table.truth.tolist() == ["d", "a", "x+z", "", "0.5", "2"]
    assert table.predicted.tolist() == ["b", "a", "", "", "1.5", "2"]
    assert table.id.tolist() == [test.ids[i] for i in rows] * 3
    predictions.write(tmp_path / "predictions.parquet", test, [])
    assert len(pd.read_parquet(tmp_path / "predictions.parquet")) == 0
