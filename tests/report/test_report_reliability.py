"""The reliability figure shows each stream's bins as the study counts them."""

import numpy as np
import pytest
from matplotlib.axes import Axes

from multimodal_lab.evaluate import predictions
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.predictions import Predicted
from multimodal_lab.report import figures
from multimodal_lab.runs.hashes import PREDICTIONS
from multimodal_lab.stats.calibration import ece
from multimodal_lab.stats.calibration import reliability as bins_of

N = 300


@pytest.fixture
def run(tmp_path):
    """Kept are probabilities of kinds by two streams, of traits, and answers without any; the folder and those of image."""
    rng = np.random.default_rng(0)
    kind, traits = rng.integers(0, 3, N), rng.integers(0, 2, (N, 2))
    p = rng.dirichlet(np.ones(3), N)
    whole = np.arange(N)
    x, there, classes = np.zeros((N, 1), np.float32), np.ones(N, bool), {"kind": ["a", "b", "c"], "traits": ["x", "y"]}
    of = Embeddings({"image": x}, {"image": there}, {"kind": kind, "traits": traits}, classes, [str(i) for i in whole], whole,
                    np.full(N, "test"))  # fmt: skip
    kept = predictions.of_classes(kind, p.argmax(1), np.arange(3), p)
    kinds = [Predicted("zero_shot", name, "kind", whole, **kept) for name in ("image", "sound")]
    bare = Predicted("knn", "image", "kind", whole, **{**kept, "outputs": None})
    several = Predicted("head", "tags", "traits", whole, **predictions.of_labels(traits, rng.random((N, 2))))
    predictions.write(tmp_path / PREDICTIONS, of, [*kinds, bare, several])
    return tmp_path, p.max(1), p.argmax(1) == kind


def test_it_is_drawn_of_what_kept_probabilities(run, monkeypatch):
    folder, confidence, right = run
    drawn = []
    plot = Axes.plot
    monkeypatch.setattr(
        Axes, "plot", lambda axes, *args, **told: drawn.append((args, told)) or plot(axes, *args, **told)
    )
    found = figures.draw(folder, ["reliability"])
    assert [p.name for p in found] == ["reliability_head_traits.png", "reliability_zero_shot_kind.png"]
    lines = {told["label"]: args for args, told in drawn if "label" in told}
    assert [name.partition(",")[0] for name in lines] == ["tags", "image", "sound"]
    x, y = lines[f"image, ECE {ece(confidence, right):.3f}"]
    count, said, true = bins_of(confidence, right).T
    np.testing.assert_allclose(x, said[count > 0])
    np.testing.assert_allclose(y, true[count > 0])


def test_a_run_without_probabilities_says_so(tmp_path, caplog):
    caplog.set_level("INFO")
    assert figures.draw(tmp_path, ["reliability"]) == []
    assert "no reliability figure: no evaluator of the run kept probabilities" in caplog.text
