"""Nearest-centroid classifier on the training embeddings."""

from __future__ import annotations

from typing import ClassVar

import torch

from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.tasks import ScoreSheet
from multimodal_lab.metric import classification
from multimodal_lab.metric.neighbours import Metric, centroids, top_k


class Centroid:
    """The class of the nearest mean, means from training rows; for every name and class label.

    Scores: `centroid/<name>/<label>/` accuracy, balanced_accuracy, macro_f1.
    """

    by = "label"
    scores: ClassVar = {"accuracy": "max", "balanced_accuracy": "max", "macro_f1": "max"}
    shown: ClassVar = {"accuracy": "accuracy"}
    beside_chance = True
    stand_in = True

    def __init__(self, *, metric: Metric = "cosine") -> None:
        self.metric = metric

    def __call__(self, train: Embeddings, test: Embeddings) -> dict[str, float]:
        """Flat scores on test."""
        ledger = ScoreSheet("centroid")
        for task in ledger.tasks(train, test):
            labels, target = torch.as_tensor(task.train_y).long(), torch.as_tensor(task.y).long()
            means, classes = centroids(torch.as_tensor(task.train_x), labels, self.metric)
            nearest = top_k(torch.as_tensor(task.x), means, 1, self.metric)[1][:, 0]
            count = int(max(labels.max(), target.max())) + 1
            ledger.put(task.key, **classification.scores(classes[nearest], target, count))
        return ledger.scores
