"""k-nearest-neighbour classifier on the training embeddings."""

from __future__ import annotations

from typing import ClassVar

import torch

from multimodal_lab.bounds import Count
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.tasks import ScoreSheet
from multimodal_lab.metric import classification
from multimodal_lab.metric.neighbours import Metric, top_k, vote


class KNN:
    """Majority vote of the k nearest training rows, for every name and class label.

    Scores: `knn/<name>/<label>/` accuracy, balanced_accuracy, macro_f1, and k, the neighbours asked: fewer than
    configured where there are fewer training rows. pool: see `pool.pooled`.
    """

    by = "label"
    scores: ClassVar = {"accuracy": "max", "balanced_accuracy": "max", "macro_f1": "max", "k": None}
    shown: ClassVar = {"accuracy": "accuracy"}
    beside_chance = True
    stand_in = True

    def __init__(self, *, k: Count = 5, metric: Metric = "cosine", pool: str | None = None) -> None:
        self.k, self.metric, self.pool = k, metric, pool

    def __call__(self, train: Embeddings, test: Embeddings) -> dict[str, float]:
        """Flat scores on test."""
        ledger = ScoreSheet("knn")
        for task in ledger.tasks(train, test):
            k = min(self.k, len(task.train_y))
            labels, target = torch.as_tensor(task.train_y).long(), torch.as_tensor(task.y).long()
            classes = int(max(labels.max(), target.max())) + 1
            x, train_x = (torch.as_tensor(part).to(test.device) for part in (task.x, task.train_x))
            closeness, index = (found.cpu() for found in top_k(x, train_x, k, self.metric))
            predicted = vote(closeness, labels[index], classes)
            ledger.put(task.key, **classification.scores(predicted, target, classes), k=k)
        return ledger.scores
