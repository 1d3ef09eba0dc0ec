"""Calibration against scikit-learn, the study's own bins, and slow plain Python."""

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss, log_loss

from multimodal_lab.metric import calibration
from multimodal_lab.stats import loss
from multimodal_lab.stats.answers import Answers
from multimodal_lab.stats.calibration import ece


@pytest.fixture
def said():
    torch.manual_seed(0)
    return torch.randn(200, 5, dtype=torch.float64).mul(2).log_softmax(1), torch.arange(200) % 5


def test_of_classes(said):
    log_p, truth = said
    p, y = log_p.exp().numpy(), truth.numpy()
    found = calibration.of_classes(log_p, truth, 10)
    assert found["ece"] == pytest.approx(ece(p.max(1), p.argmax(1) == y, 10), abs=1e-6)
    assert found["brier"] == pytest.approx(brier_score_loss(y, p), rel=1e-9)
    assert found["brier"] == pytest.approx(
        np.mean([sum((q - (k == t)) ** 2 for k, q in enumerate(row)) for row, t in zip(p, y)])
    )
    assert found["nll"] == pytest.approx(log_loss(y, p), rel=1e-9)
    assert calibration.of_classes(log_p, truth)["ece"] != found["ece"]
    studied = loss.brier(Answers("classes", y, p.argmax(1), p, np.arange(200)))
    assert found["brier"] == pytest.approx(studied.mean(), rel=1e-9)


def test_brier_of_two_classes_is_scaled_as_studies_have_it(said):
    log_p, truth = said[0][:, :2].log_softmax(1), said[1] % 2
    found = calibration.of_classes(log_p, truth)["brier"]
    assert found == pytest.approx(brier_score_loss(truth, log_p[:, 1].exp()), rel=1e-9)
    p = log_p.exp().numpy()
    assert found == pytest.approx(
        loss.brier(Answers("classes", truth.numpy(), p.argmax(1), p, np.arange(200))).mean(), rel=1e-9
    )


def test_a_truth_without_probability_has_no_log_loss_and_counts_as_wrong(said):
    log_p, truth = said
    p = log_p.exp()
    assert calibration.of_probabilities(p, truth) == calibration.of_classes(p.log(), truth)
    moved = torch.where(truth == 0, 5, truth)
    found = calibration.of_probabilities(torch.cat([p, torch.zeros(200, 1)], 1), moved)
    assert found.keys() == {"ece", "brier"}
    wider = np.pad(p.numpy(), ((0, 0), (0, 1)))
    assert found["brier"] == pytest.approx(np.mean(((wider - np.eye(6)[moved]) ** 2).sum(1)))


def test_of_labels_each_is_an_answer_and_unknown_ones_are_left_out():
    rng = np.random.default_rng(0)
    z, truth = rng.normal(size=(50, 3)) * 2, rng.integers(-1, 2, (50, 3)).astype(float)
    truth[0, 0] = np.nan
    known = truth >= 0
    p, y = 1 / (1 + np.exp(-z[known])), truth[known]
    found = calibration.of_labels(z, truth)
    assert found["brier"] == pytest.approx(brier_score_loss(y, p), rel=1e-9)
    assert found["nll"] == pytest.approx(log_loss(y, p), rel=1e-9)
    assert found["ece"] == pytest.approx(ece(np.maximum(p, 1 - p), (p > 0.5) == (y > 0)), abs=1e-6)
    assert calibration.of_labels(z, np.full((50, 3), -1)) == {}
