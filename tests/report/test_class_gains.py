"""Two runs class by class: the average precision of scikit-learn, the same resampled, and what can't be compared."""

import json
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score

from multimodal_lab.report import class_gains, style

CLASSES = ["a", "b+c", "never"]


def run(folder, chances, truth, ids):
    folder.mkdir()
    n = len(ids)
    said = ["+".join(c for c, p in zip(CLASSES, row) if p > 0.5) for row in chances]
    table = pa.table({"id": ids, "group": np.arange(n) // 2, "evaluator": ["head"] * n, "stream": ["classifier"] * n,
                      "label": ["cover"] * n, "truth": said, "predicted": said, "outputs": [*map(list, chances)],
                      "targets": [*map(list, truth.astype(float))]})  # fmt: skip
    pq.write_table(
        table.replace_schema_metadata({"classes": json.dumps({"cover": CLASSES})}), folder / "predictions.parquet"
    )
    return folder


@pytest.fixture
def runs(tmp_path):
    rng, n = np.random.default_rng(0), 80
    truth = np.stack([rng.random(n) < 0.4, rng.random(n) < 0.2, np.zeros(n, bool)], 1)
    ids = np.array([f"s{i}" for i in range(n)])
    weak, strong = (np.round(truth * shift + rng.random((n, 3)), 2) for shift in (0.1, 0.8))
    order = rng.permutation(n)
    return run(tmp_path / "weak", weak, truth, ids), run(tmp_path / "strong", strong[order], truth[order], ids[order])


def test_gains_are_differences_of_average_precision_with_intervals(runs):
    found = class_gains.gains(*runs).set_index("class")
    assert found.gain["a"] > 0.2
    assert (found.low < found.gain)[["a", "b+c", class_gains.MEAN]].all()
    assert (found.high > found.gain)[["a", "b+c", class_gains.MEAN]].all()
    assert found.loc["never", ["first", "second", "gain", "low", "high"]].isna().all()
    assert found.loc[class_gains.MEAN, "first"] == pytest.approx(found["first"][["a", "b+c"]].mean())
    same = class_gains.gains(runs[0], runs[0])
    assert (same[["gain", "low", "high"]].fillna(0) == 0).all(axis=None)
    with warnings.catch_warnings(), style.look():
        assert class_gains.figure(found.reset_index(), "strong over weak").axes


def test_average_precision_is_that_of_scikit_learn_resampled_and_with_ties():
    rng = np.random.default_rng(1)
    truth, chances = rng.random((50, 2)) < 0.3, np.round(rng.random((50, 2)), 1)
    times = rng.multinomial(50, np.full(50, 0.02), 5)
    found = class_gains.precision(truth, chances, times)
    for row, own in zip(times, found):
        rows = np.repeat(np.arange(50), row)
        each = [average_precision_score(truth[rows, k], chances[rows, k]) for k in range(2)]
        np.testing.assert_allclose(own, [*each, np.mean(each)], rtol=1e-12)


def test_runs_of_other_samples_are_refused(runs, tmp_path):
    other = run(tmp_path / "other", np.full((2, 3), 0.5), np.eye(3, dtype=bool)[:2], ["s0", "x"])
    with pytest.raises(
        ValueError, match=r"was judged on 80 samples and .* on 2, 1 of them in common; expected the same"
    ):
        class_gains.gains(runs[0], other)
