"""The expected calibration error: an oracle in plain Python, and torchmetrics."""

import numpy as np
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from multimodal_lab.stats.calibration import calibrated_ece, ece, reliability

DRAW = np.random.default_rng(0)


def test_ece_is_that_of_the_paper_and_of_torchmetrics():
    said = DRAW.dirichlet(np.ones(4), 300)
    truth = DRAW.integers(0, 4, 300)
    confidence, right = said.max(1), said.argmax(1) == truth
    oracle = 0.0
    for i in range(15):
        own = [j for j in range(300) if i / 15 < confidence[j] <= (i + 1) / 15]
        if own:
            share, mean = sum(right[j] for j in own) / len(own), sum(confidence[j] for j in own) / len(own)
            oracle += len(own) / 300 * abs(share - mean)
    other = multiclass_calibration_error(torch.as_tensor(said), torch.as_tensor(truth), num_classes=4, n_bins=15)
    assert np.isclose(ece(confidence, right), oracle)
    assert np.isclose(ece(confidence, right), float(other), atol=1e-6)
    assert reliability(confidence, right)[:, 0].sum() == 300


def test_calibrated_answers_have_the_error_of_chance_and_the_sure_and_wrong_more():
    confidence = DRAW.uniform(0.5, 1, 2000)
    chance = calibrated_ece(confidence)
    assert 0.01 < chance < 0.05
    assert abs(ece(confidence, DRAW.random(2000) < confidence) - chance) < 0.02
    assert ece(np.ones(10), np.zeros(10)) == 1
