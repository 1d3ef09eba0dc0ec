"""Scores of maps equal torchmetrics' on whole maps, though they are added up sample by sample."""

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_jaccard_index
from torchmetrics.functional.regression import mean_absolute_error, mean_squared_error, r2_score

from multimodal_lab.evaluate.pixels import scores
from multimodal_lab.metric import segmentation


def test_scores_of_classes_are_torchmetrics():
    draw = torch.Generator().manual_seed(0)
    logits, truth = torch.randn(6, 5, 7, 8, generator=draw), torch.randint(-1, 4, (6, 7, 8), generator=draw)
    logits[:, 4] = -9  # class 4 neither is nor is called
    parts = [segmentation.counts(logits[i : i + 2], truth[i : i + 2]) for i in (0, 2, 4)]
    found, n = scores(torch.cat(parts).numpy(), ["a", "b", "c/d", "e", "f"])
    how = {"num_classes": 5, "ignore_index": -1}
    chosen = logits.argmax(1)
    each = multiclass_jaccard_index(chosen, truth, average=None, **how)
    assert n == int((truth >= 0).sum())
    assert found["miou"] == pytest.approx(float(multiclass_jaccard_index(chosen, truth, average="macro", **how)))
    assert found["pixel_accuracy"] == pytest.approx(float(multiclass_accuracy(chosen, truth, average="micro", **how)))
    assert found["class_accuracy"] == pytest.approx(float(multiclass_accuracy(chosen, truth, average="macro", **how)))
    assert [found[f"iou@{c}"] for c in ("a", "b", "c_d", "e")] == pytest.approx(each[:4].tolist())
    assert found["n_absent"] == 1
    assert "iou@f" not in found


def test_scores_of_numbers_are_torchmetrics():
    draw = torch.Generator().manual_seed(0)
    said, truth = torch.randn(4, 1, 5, 6, generator=draw), 300 + torch.randn(4, 5, 6, generator=draw)
    truth[0, :2] = torch.nan
    known = torch.isfinite(truth)
    found, n = scores(segmentation.sums(said, truth).numpy(), [])
    x, y = said[:, 0][known].double(), truth[known].double()
    assert n == int(known.sum())
    assert found["pixel_rmse"] == pytest.approx(math.sqrt(mean_squared_error(x, y)))
    assert found["pixel_mae"] == pytest.approx(float(mean_absolute_error(x, y)))
    assert found["r2"] == pytest.approx(float(r2_score(x, y)), rel=1e-6)


def test_nothing_known_gives_no_score():
    assert scores(np.zeros((3, 4, 4), dtype=np.int64), []) == ({}, 0)
    assert scores(np.zeros((3, 5)), []) == ({}, 0)
