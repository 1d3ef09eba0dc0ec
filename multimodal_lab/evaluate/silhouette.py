"""Silhouette score of the labels' classes."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from multimodal_lab.bounds import Count, Natural
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.tasks import ScoreSheet
from multimodal_lab.metric.neighbours import Metric
from multimodal_lab.metric.silhouette import silhouette


class Silhouette:
    """Mean silhouette (Rousseeuw 1987), -1 to 1, of the held-out embeddings under each class label.

    Scores: `silhouette/<name>/<label>/` score; n_single: rows left out because their class has no other row;
    n_used: rows used, at most `limit`, drawn by `seed` (the cost of Euclidean distances grows with their square).
    """

    by = "label"
    scores: ClassVar = {"score": "max", "n_single": None, "n_used": None}

    def __init__(self, *, metric: Metric = "cosine", limit: Count = 5000, seed: Natural = 0) -> None:
        self.metric, self.limit, self.seed = metric, limit, seed

    def __call__(self, train: Embeddings, test: Embeddings) -> dict[str, float]:
        """Flat scores on test."""
        ledger = ScoreSheet("silhouette")
        for task in ledger.held_out(test):
            chosen = np.random.default_rng(self.seed).permutation(len(task.y))[: self.limit]
            x, y = task.x[chosen], task.y[chosen]
            _, index, counts = np.unique(y, return_inverse=True, return_counts=True)
            paired = counts[index] > 1
            ledger.put(task.key, n_single=(~paired).sum(), n_used=paired.sum())
            if len(np.unique(y[paired])) < 2:
                ledger.skip(task.key, "fewer_than_two_classes_of_two")
            else:
                score = silhouette(torch.as_tensor(x[paired]), torch.as_tensor(y[paired]), self.metric)
                if np.isnan(score):
                    ledger.skip(task.key, "embeddings_are_one_point")
                else:
                    ledger.put(task.key, score=score)
        return ledger.scores
